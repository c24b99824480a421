"""What a syntax tree says: imports, paths, environment variables, programs that are started."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from . import shell
from .findings import (
    Findings,
    Import,
    PathLiteral,
    PathUse,
    Place,
    ScriptRun,
    SearchPath,
    Use,
    words,
)
from .ipython import shell_method
from .literals import (
    DISPLAYS,
    LONGEST,
    PATH_METHODS,
    SQLITE,
    UNKNOWN,
    URL,
    WEB_HOST,
    Names,
    called_name,
    dotted,
    downloaded_name,
    looks_like_path,
    text_of,
    use_of,
)
from .plugins import ASKED
from .trees import children, walk

PlaceOf: TypeAlias = Callable[[int], Place]

_IMPORTS = (ast.Import, ast.ImportFrom)
_NO_PATH = re.compile(r"[a-z][a-z0-9+.-]*:|.*[<>\n]", re.IGNORECASE | re.DOTALL)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)
CWD = "os.getcwd()"  # where among the names the current folder is kept, once code has changed it
IMPORTERS = frozenset(
    {"importlib.import_module", "__import__", "import_module", "runpy.run_module"}
)
# Calls that run or import a file: which argument names it.
FILE_RUNNERS = {
    "run_path": 0,
    "spec_from_file_location": 1,
    "SourceFileLoader": 1,
    "load_source": 1,
}
# Calls that read a file of a package: the package, then the file.
PACKAGE_DATA = words(
    """
    open_text open_binary read_text read_binary get_data resource_filename resource_stream
    resource_string path
    """
)
# What a handler calls that does not go on without the module: it ends, or installs it.
GIVING_UP = words("exit _exit quit system run_line_magic check_call run main")
PATH_KEYWORDS = words(
    """
    filename file path fname filepath_or_buffer io path_or_buf filepath directory root
    """
)
IMPORT_ERRORS = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
STARTERS = words(
    """
    subprocess.run subprocess.call subprocess.check_call subprocess.check_output
    subprocess.Popen subprocess.getoutput subprocess.getstatusoutput os.system os.popen
    shutil.which
    """
)
GETENV = frozenset({"os.getenv", "getenv", "os.environ.get", "environ.get", "os.environ.pop"})


def scan_tree(tree: ast.AST, place_of: PlaceOf, found: Findings, names: Names) -> None:
    """Take up everything that a tree says.

    Args:
        tree: a module.
        place_of: the place of a line of it.
        found: where findings go.
        names: variables known to hold a text, kept from one cell to the next.
    """
    _Scan(place_of, found, names).walk(tree)


class _Scan:
    """One walk over one tree, in source order and without recursion (trees can be very deep)."""

    def __init__(self, place_of: PlaceOf, found: Findings, names: Names) -> None:
        self.place_of = place_of
        self.found = found
        self.names = names
        # choice, fallback and spare of import nodes inside try/except
        self.context: dict[int, tuple[int | None, bool, bool]] = {}
        self.taken: set[int] = set()  # constants that were taken up as part of something

    def walk(self, tree: ast.AST) -> None:
        stack: list[tuple[ast.AST, bool]] = [(tree, False)]
        while stack:
            node, left = stack.pop()
            if left:
                self._assign(node)  # takes effect after its value was read
                continue
            self.visit(node)
            if isinstance(node, _ASSIGNMENTS):
                stack.append((node, True))
            stack.extend((child, False) for child in reversed(children(node)))

    def visit(self, node: ast.AST) -> None:
        if shell_method(node) is not None:
            self._take(node)  # a magic: its words were read already
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self._import_statement(node)
        elif isinstance(node, ast.Try):
            self._alternatives(node)
        elif isinstance(node, ast.JoinedStr):
            self._take(node)  # its pieces are no paths by themselves
        elif isinstance(node, ast.Call):
            self._call(node)
            self._use(node)
        elif isinstance(node, ast.Attribute):
            self.found.finds_notebooks |= node.attr in ("meta_path", "path_hooks")
            self._attribute(node)
        elif isinstance(node, ast.Subscript):
            self._environ(node)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            self.taken.add(id(node.value))  # a docstring names no file
        elif isinstance(node, ast.Constant):
            self._constant(node)

    def _place(self, node: ast.AST) -> Place:
        return self.place_of(getattr(node, "lineno", 1))

    # imports

    def _import_statement(self, node: ast.Import | ast.ImportFrom) -> None:
        aliases = self.found.aliases
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._import(node, alias.name)
                top = alias.name.partition(".")[0]
                aliases[alias.asname or top] = alias.name if alias.asname else top
            return
        module = node.module or ""
        self._import(node, module, tuple(a.name for a in node.names), level=node.level)
        for alias in node.names:
            aliases[alias.asname or alias.name] = f"{module}.{alias.name}"
            if alias.name in ASKED:
                self.found.uses.append(
                    Use(alias.name, alias.asname or alias.name, self._place(node))
                )

    def _import(
        self, node: ast.AST, module: str, names: tuple[str, ...] = (), level: int = 0
    ) -> None:
        choice, fallback, spare = self.context.get(id(node), (None, False, False))
        self.found.imports.append(
            Import(module, self._place(node), names, level, choice, fallback, spare)
        )

    def _alternatives(self, node: ast.Try) -> None:
        """``try: import a`` with ``except ImportError``: what it falls back to, or does without."""
        handlers = [handler for handler in node.handlers if _catches_import_error(handler)]
        if not handlers:
            return
        fallbacks = [statement for handler in handlers for statement in handler.body]
        fails = any(
            isinstance(inner, ast.Raise)
            or (isinstance(inner, ast.Call) and called_name(inner) in GIVING_UP)
            for inner in _inside(fallbacks)
        )
        fallback_imports = [n for n in _inside(fallbacks) if isinstance(n, _IMPORTS)]
        choice = None
        if fallback_imports:
            choice = self.found.choices
            self.found.choices += 1
        for inner in _inside(node.body):
            if isinstance(inner, _IMPORTS):
                self.context.setdefault(id(inner), (choice, False, choice is None and not fails))
        for inner in fallback_imports:
            self.context.setdefault(id(inner), (choice, True, False))

    # calls

    def _call(self, node: ast.Call) -> None:
        name, whole = called_name(node), dotted(node.func)
        first = node.args[0] if node.args else None
        text = text_of(first, {}) if isinstance(first, ast.Constant) else None
        if first is None and node.keywords and whole in IMPORTERS:
            first = next((k.value for k in node.keywords if k.arg in ("name", "mod_name")), None)
            text = None if first is None else text_of(first, {})
        if text is not None and whole in IMPORTERS:
            if not text.startswith("."):
                self.found.imports.append(Import(text, self._place(node)))
            self.taken.add(id(first))
        elif whole in GETENV and text is not None:
            self.found.env_names.append((text, self._place(node)))
            self.taken.add(id(first))
        elif whole in STARTERS and first is not None:
            self._program(node, first)
        elif whole.startswith("sys.path.") or name == "addsitedir":
            self._search_path(node, name)
        elif name in FILE_RUNNERS and len(node.args) > FILE_RUNNERS[name]:
            self._run(node.args[FILE_RUNNERS[name]], node)
        elif name in ("exec", "compile"):
            self._executed(node)
        elif name in PACKAGE_DATA and len(node.args) > 1 and self._package_data(node):
            pass
        elif whole in ("os.chdir", "chdir") and first is not None:
            self._change_folder(node, first)
        else:
            self._paths(node)

    # plug-ins

    def _attribute(self, node: ast.Attribute) -> None:
        if node.attr in ASKED and id(node) not in self.taken:
            base = dotted(node).partition(".")[0]
            self.found.uses.append(Use(node.attr, base, self._place(node)))

    def _use(self, node: ast.Call) -> None:
        """What is asked of a library that it needs a plug-in for."""
        name = called_name(node)
        if name not in ASKED:
            return
        self.taken.add(id(node.func))
        words = {k.arg: text_of(k.value, self.names) for k in node.keywords}
        text = text_of(node.args[0], self.names) if node.args else words.get("io")
        base = dotted(node.func).partition(".")[0]
        self.found.uses.append(
            Use(name, base, self._place(node), text or "", words.get("engine") or "")
        )

    def _program(self, node: ast.Call, first: ast.AST) -> None:
        place = self._place(node)
        if isinstance(first, ast.List | ast.Tuple) and first.elts:
            words = [text_of(element, self.names) or "{}" for element in first.elts]
            if dotted(first.elts[0]) == "sys.executable":
                words[0] = "python"
            shell.scan_words(words, place, self.found)
        elif (text := text_of(first, self.names)) is not None:
            shell.scan_line(text, place, self.found)

    def _search_path(self, node: ast.Call, name: str) -> None:
        argument = node.args[-1] if node.args else None
        if name in ("append", "insert", "extend", "addsitedir") and argument is not None:
            self._searched(argument, node, first=name == "insert")

    def _searched(self, argument: ast.AST, node: ast.AST, *, first: bool) -> None:
        elements = argument.elts if isinstance(argument, ast.List | ast.Tuple) else [argument]
        for element in elements:
            text = text_of(element, self.names)
            if text is not None and UNKNOWN not in text:
                at = self._from_here(text)
                self.found.search_paths.append(SearchPath(at, first, self._place(node)))
                self._take(element)

    def _run(self, argument: ast.AST, node: ast.AST) -> None:
        text = text_of(argument, self.names)
        if text is not None and UNKNOWN not in text:
            self.found.runs.append(ScriptRun(self._from_here(text), self._place(node)))
            self._take(argument)

    def _executed(self, node: ast.Call) -> None:
        """``exec(open("x.py").read())``: a script, as ``%run`` would run it."""
        for inner in _inside(node.args[:1]):
            opened = isinstance(inner, ast.Call) and called_name(inner) in ("open", "Path")
            if opened and isinstance(inner, ast.Call) and inner.args:
                text = text_of(inner.args[0], self.names)
                if text is not None and text.endswith(".py"):
                    self._run(inner.args[0], node)

    def _package_data(self, node: ast.Call) -> bool:
        """``pkgutil.get_data("package", "x.csv")`` and what importlib.resources has."""
        package, name = (text_of(arg, self.names) for arg in node.args[:2])
        if package is None or name is None or not re.fullmatch(r"[\w.]+", package):
            return False
        self._path(f"{package.replace('.', '/')}/{name}", "read", self._place(node))
        for argument in node.args[:2]:
            self._take(argument)
        return True

    def _change_folder(self, node: ast.Call, first: ast.AST) -> None:
        text = text_of(first, self.names)
        if text is None or UNKNOWN in text:
            self.names.pop(CWD, None)
            return
        self._path(text, "list", self._place(node))
        self._take(first)
        self.names[CWD] = self._from_here(text)

    def _from_here(self, path: str) -> str:
        """A path as it is from the folder in which the notebook starts."""
        here = self.names.get(CWD)
        if here is None or path.startswith(("/", "~")):
            return path
        return posixpath.normpath(posixpath.join(here, path))[:LONGEST]

    def _paths(self, node: ast.Call) -> None:
        use = use_of(node)
        if use is None or self._path_method(node, use) or use == "mention":
            return  # the constants in what only mentions paths are taken up as they come
        # A reader's path comes first; writers and downloads may have the data or the URL before.
        count = 2 if use in ("write", "download") else 1
        if called_name(node) in DISPLAYS:
            count = 0
        arguments = [
            *node.args[:count],
            *(k.value for k in node.keywords if k.arg in PATH_KEYWORDS),
        ]
        for argument in arguments:
            elements = argument.elts if isinstance(argument, ast.List | ast.Tuple) else [argument]
            for element in elements:
                text = text_of(element, self.names)
                if text is not None and (count < 2 or "/" in text or looks_like_path(text)):
                    self._path(text, use, self._place(node))
                    self._take(element)

    def _path_method(self, node: ast.Call, use: PathUse) -> bool:
        """``Path("x").read_text()``: the path is what the method is called on."""
        if not isinstance(node.func, ast.Attribute) or node.func.attr not in PATH_METHODS:
            return False
        text = text_of(node.func.value, self.names)
        if text is None:
            return False
        pattern = text_of(node.args[0], {}) if use == "list" and node.args else None
        self._path(f"{text.rstrip('/')}/{pattern}" if pattern else text, use, self._place(node))
        self._take(node.func)
        if pattern:
            self._take(node.args[0])
        return True

    def _path(self, text: str, use: PathUse, place: Place) -> None:
        host = WEB_HOST.match(text)
        if host:
            self.found.hosts.append((host.group(1).lower(), place))
            name = downloaded_name(text) if use == "download" else None
            if name is not None:
                self.found.paths.append(PathLiteral(name, "download", place))
        elif database := SQLITE.match(text):
            self._path(text[database.end() :], "mention", place)
        elif not URL.match(text) and "\n" not in text and "<" not in text:
            self.found.paths.append(PathLiteral(self._from_here(text), use, place))
            if CWD in self.names:  # the change of folder may not have been made by then
                self.found.paths.append(PathLiteral(text, "mention", place, called=False))

    def _take(self, node: ast.AST) -> None:
        for inner in _inside([node]):
            if isinstance(inner, ast.Constant):
                self.taken.add(id(inner))

    # names and constants

    def _assign(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            self._bind(node.target, node.value)
        elif isinstance(node, ast.AugAssign):
            if dotted(node.target) == "sys.path":
                self._searched(node.value, node, first=False)
            else:
                load = ast.Name(dotted(node.target), ast.Load())
                self._bind(node.target, ast.BinOp(load, node.op, node.value))

    def _bind(self, target: ast.AST, value: ast.AST) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
                for inner, part in zip(target.elts, value.elts, strict=True):
                    self._bind(inner, part)
            return
        name = dotted(target)
        if name == "sys.path" and isinstance(value, ast.BinOp):
            for side in (value.left, value.right):
                if isinstance(side, ast.List):
                    self._searched(side, value, first=side is value.left)
        elif name:
            text = text_of(value, self.names)
            if text is None:
                self.names.pop(name, None)
            else:
                self.names[name] = text

    def _environ(self, node: ast.Subscript) -> None:
        if dotted(node.value) in ("os.environ", "environ") and isinstance(node.slice, ast.Constant):
            self.taken.add(id(node.slice))
            if isinstance(node.slice.value, str) and isinstance(node.ctx, ast.Load):
                self.found.env_names.append((node.slice.value, self._place(node)))

    def _constant(self, node: ast.Constant) -> None:
        text = node.value
        if id(node) in self.taken or not isinstance(text, str) or not 1 < len(text) <= LONGEST:
            return
        host = WEB_HOST.match(text)
        if host and not any(c.isspace() for c in text):
            self.found.hosts.append((host.group(1).lower(), self._place(node)))
        elif SQLITE.match(text):
            self._path(text, "mention", self._place(node))
        elif looks_like_path(text) or ("/" in text.strip("/") and not _NO_PATH.match(text)):
            for path in dict.fromkeys((self._from_here(text), text)):
                self.found.paths.append(
                    PathLiteral(path, "mention", self._place(node), called=False)
                )


def _inside(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for node in nodes:
        yield from walk(node)


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(dotted(kind) in IMPORT_ERRORS for kind in kinds)
