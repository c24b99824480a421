"""The names that a cell defines and those that it needs, at the top level of the notebook.

Lenient on purpose: what may be defined counts as defined, and what may not run counts as not used.
"""

from __future__ import annotations

import ast
import re
import symtable
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..notebook import without_own_magics
from .cellmagics import AUTOMAGICS, OTHER_BODIES, PYTHON_BODIES, SHELL_BODIES
from .findings import words
from .ipython import magic_calls, shell_method, transformed
from .trees import children, walk

LARGEST = 200_000  # characters of a cell that is still looked at
# What IPython puts into the notebook's namespace (core/interactiveshell.py, core/displayhook.py),
# the built-in names of Python 2, and what module objects have.
ALWAYS = words(
    """
    In Out _ __ ___ _i _ii _iii _ih _oh _dh _sh get_ipython exit quit display _exit_code
    __name__ __file__ __doc__ __builtin__ __builtins__ __package__ __spec__ __loader__
    __annotations__ __session__ __vsc_ipynb_file__ __IPYTHON__ __class__ copyright credits license
    xrange unicode raw_input reduce file unichr basestring long execfile reload cmp intern buffer
    apply coerce unicode_literals print_function
    """
)
_OUTPUT = re.compile(r"_i?\d+")  # _12 and _i12: results and sources by their count
# Line magics of IPython and of well-known extensions that define nothing.
_HARMLESS = words(
    """
    matplotlib time timeit config load_ext reload_ext autoreload aimport env set_env pip conda
    mamba uv cd ls pwd mkdir cat who whos who_ls pinfo pinfo2 pdoc psource pfile pdef psearch
    magic lsmagic quickref precision pprint prun memit lprun mprun history hist doctest_mode
    xmode pdb debug system sx alias unalias automagic colors bookmark dirs popd pushd logstart
    logstop logon logoff logstate page tb gui man mv cp rm rmdir ll lf lx lk ldir less more
    clear dockerize ipydock watermark version_information tensorboard snakeviz notebook save
    pastebin bash writefile killbgscripts rehashx connect_info qtconsole install_ext
    install_default_config timer autosave signature
    """
)
# Calls after which names may be there that no cell shows.
_HIDING = words("exec globals vars execfile run_path push")
_HIDING_METHODS = words("push ex run_path run_cell safe_execfile")
_MAY_HIDE = re.compile(rf"\b(?:{'|'.join(_HIDING | _HIDING_METHODS)})\b|import[\s\\]*\*")
# Cell magics in other languages that can put variables back.
_PUTTING_BACK = words(
    "R cython cython_pyximport fortran sql bigquery octave julia matlab spark local macro"
)


@dataclass(slots=True)
class Names:
    """Names at the top level: ``used`` are needed as the cell runs and not defined in it before;
    ``later`` when its functions are called; ``hidden`` tells that it may define any others."""

    defined: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    later: set[str] = field(default_factory=set)
    hidden: bool = False


def names_of(source: str) -> Names | None:
    """The names of a cell, None if it cannot be read."""
    names = Names()
    text = _body(without_own_magics(source), names, 0)
    if len(text) > LARGEST:
        return None
    if text.strip():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                _read(text, names)
            except (SyntaxError, ValueError, MemoryError, RecursionError):
                return None
    names.used = {name for name in names.used if not _OUTPUT.fullmatch(name)}
    return names


def _body(source: str, names: Names, depth: int) -> str:
    """The Python in a cell with or without cell magics, empty if there is none."""
    source = source.lstrip()
    if not source.startswith("%%"):
        return source
    head, _, rest = source.partition("\n")
    name, _, args = head[2:].strip().partition(" ")
    if name == "capture":
        names.defined.update(re.findall(r"(?<![-\w])[A-Za-z_]\w*", args))
    elif name in SHELL_BODIES or name in OTHER_BODIES or name == "script":
        # Some keep what was printed in a variable.
        names.defined.update(re.findall(r"--(?:out|err|proc)[ =](\w+)", args))
        names.hidden |= name in _PUTTING_BACK
        return ""
    elif name not in PYTHON_BODIES or depth > 5:
        names.hidden = True
        return ""
    elif name in ("timeit", "prun"):
        # It runs in a namespace of its own: what it needs counts, what it defines does not.
        inner = names_of(rest)
        if inner is not None:
            names.hidden |= inner.hidden
        return ""
    elif name == "time" and args.strip():
        rest = f"{args}\n{rest}"
    return _body(rest, names, depth + 1)


def _read(text: str, names: Names) -> None:
    """Take up a text of Python and magics.

    Raises:
        SyntaxError: it is neither.
    """
    first = text.split(None, 1)[0]
    if "\n" not in text.strip() and first in AUTOMAGICS | {"run", "pylab"} and "=" not in text:
        text = f"%{text}"
    try:
        tree = ast.parse(text)
    except SyntaxError:
        text = transformed(text) or ""
        tree = ast.parse(text)
    if "get_ipython" in text:
        for call in magic_calls(tree.body):
            _magic(call, names)
    if _MAY_HIDE.search(text):  # a look at the text saves walking most trees
        names.hidden |= any(_hides(node) for node in walk(tree))
    table = symtable.symtable(text, "<unknown>", "exec")
    for symbol in table.get_symbols():
        if symbol.is_assigned() or symbol.is_imported():
            names.defined.add(symbol.get_name())
    _nested(table, names)
    bound: set[str] = set()
    walrus = ":=" in text
    for statement in tree.body:
        names.used.update(set(_loads(statement, bound, walrus)) - bound)
        bound |= _bound_in([statement])
    names.later -= names.defined


def _hides(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return any(alias.name == "*" for alias in node.names)
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Attribute):
        return called.attr in _HIDING_METHODS
    return isinstance(called, ast.Name) and called.id in _HIDING


def _magic(call: ast.Call, names: Names) -> None:
    texts = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
    text = " ".join(str(part) for part in texts)
    if shell_method(call) not in ("run_line_magic", "magic"):
        return
    name, _, rest = text.lstrip("%").partition(" ")
    if name == "time":
        inner = names_of(rest)  # runs in the notebook's namespace
        if inner is not None:
            names.defined |= inner.defined
            names.hidden |= inner.hidden
    else:
        names.hidden |= name not in _HARMLESS


def _nested(table: symtable.SymbolTable, names: Names) -> None:
    """Globals that functions define, and those that they need."""
    stack = list(table.get_children())
    while stack:
        child = stack.pop()
        for symbol in child.get_symbols():
            if symbol.is_declared_global() and symbol.is_assigned():
                names.defined.add(symbol.get_name())
            elif symbol.is_global() and symbol.is_referenced():
                names.later.add(symbol.get_name())
        stack.extend(child.get_children())


def _loads(statement: ast.stmt, bound: set[str], walrus: bool) -> Iterator[str]:
    """Names that a top-level statement needs as it runs; ``walrus`` if it may have a ``:=``."""
    if isinstance(statement, ast.Delete):
        return
    simple = isinstance(statement, ast.Assign | ast.AugAssign | ast.Expr)
    # What a loop or a branch binds may be bound before it is used there.
    hidden = frozenset(bound if simple else bound | _bound_in([statement]))
    stack: list[tuple[ast.AST, frozenset[str]]] = [(statement, hidden)]
    while stack:
        node, local = stack.pop()
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load) and node.id not in local:
                yield node.id
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            stack.append((ast.Name(node.target.id, ast.Load()), local))
            stack.append((node.value, local))
        else:
            stack.extend(_parts(node, local | _walrus(node) if walrus else local))


def _parts(node: ast.AST, local: frozenset[str]) -> list[tuple[ast.AST, frozenset[str]]]:
    """What of a node runs at once, each with the names that it finds close by."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        # Not the annotations: they may be texts, or not evaluated at all.
        parts: list[ast.AST | None] = [*node.args.defaults, *node.args.kw_defaults]
        if not isinstance(node, ast.Lambda):
            parts += node.decorator_list
        return [(part, local) for part in parts if part is not None]
    if isinstance(node, ast.ClassDef):
        inside = local | {node.name} | _bound_in(node.body)
        return [(part, inside) for part in (*node.decorator_list, *node.bases, *node.body)]
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        local |= _bound_in([generator.target for generator in node.generators])
    elif isinstance(node, ast.AnnAssign):
        return [(node.value, local)] if node.value is not None else []
    elif isinstance(node, ast.Try) and any(_catches(handler) for handler in node.handlers):
        return []  # a name that is not there may be what it waits for
    elif isinstance(node, ast.NamedExpr):
        return [(node.value, local)]
    return [(child, local) for child in children(node)]


def _walrus(node: ast.AST) -> frozenset[str]:
    """Names bound within an expression, wherever in it."""
    if not isinstance(node, ast.BoolOp | ast.IfExp | ast.Expr | ast.Compare):
        return frozenset()
    found = (inner for inner in walk(node) if isinstance(inner, ast.NamedExpr))
    return frozenset(inner.target.id for inner in found)


def _catches(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
    return handler.type is None or bool(names & {"NameError", "Exception", "BaseException"})


def _bound_in(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that statements bind in their own scope."""
    found: set[str] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        if isinstance(node, ast.Lambda):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            found.add(node.rest)
        stack.extend(children(node))
    return found
