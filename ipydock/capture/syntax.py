"""What a syntax tree says: imports, paths, environment variables, programs that are started."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from . import shell
from .findings import Findings, Import, PathLiteral, PathUse, Place, SearchPath, Use, words
from .ipython import shell_method
from .literals import (
    LONGEST,
    PATH_METHODS,
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

PlaceOf: TypeAlias = Callable[[int], Place]

_IMPORTS = (ast.Import, ast.ImportFrom)
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
            if left and isinstance(node, ast.Assign):
                self._assign(node)  # takes effect after its value was read
                continue
            self.visit(node)
            if isinstance(node, ast.Assign):
                stack.append((node, True))
            stack.extend((child, False) for child in reversed(list(ast.iter_child_nodes(node))))

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
        if text is not None and (
            whole in ("importlib.import_module", "__import__", "import_module")
        ):
            if not text.startswith("."):
                self.found.imports.append(Import(text, self._place(node)))
            self.taken.add(id(first))
        elif whole in GETENV and text is not None:
            self.found.env_names.append((text, self._place(node)))
            self.taken.add(id(first))
        elif whole in STARTERS and first is not None:
            self._program(node, first)
        elif whole.startswith("sys.path."):
            self._search_path(node, name)
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
        if name not in ("append", "insert") or argument is None:
            return
        text = text_of(argument, self.names)
        if text is not None and UNKNOWN not in text:
            self.found.search_paths.append(SearchPath(text, name == "insert", self._place(node)))
            self._take(argument)

    def _paths(self, node: ast.Call) -> None:
        use = use_of(node)
        if use is None or self._path_method(node, use) or use == "mention":
            return  # the constants in what only mentions paths are taken up as they come
        # A reader's path comes first; writers and downloads may have the data or the URL before.
        count = 2 if use in ("write", "download") else 1
        arguments = [
            *node.args[:count],
            *(k.value for k in node.keywords if k.arg in PATH_KEYWORDS),
        ]
        for argument in arguments:
            elements = argument.elts if isinstance(argument, ast.List | ast.Tuple) else [argument]
            for element in elements:
                text = text_of(element, self.names)
                if text is not None and (count == 1 or "/" in text or looks_like_path(text)):
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
        elif not URL.match(text) and "\n" not in text:
            self.found.paths.append(PathLiteral(text, use, place))

    def _take(self, node: ast.AST) -> None:
        for inner in _inside([node]):
            if isinstance(inner, ast.Constant):
                self.taken.add(id(inner))

    # names and constants

    def _assign(self, node: ast.Assign) -> None:
        text = text_of(node.value, self.names)
        for target in node.targets:
            if isinstance(target, ast.Name):
                if text is None:
                    self.names.pop(target.id, None)
                else:
                    self.names[target.id] = text

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
        elif looks_like_path(text) or ("/" in text.strip("/") and not URL.match(text)):
            self.found.paths.append(PathLiteral(text, "mention", self._place(node), called=False))


def _inside(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for node in nodes:
        yield from ast.walk(node)


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(dotted(kind) in IMPORT_ERRORS for kind in kinds)
