"""What the cells say: IPython's own transformer, then a syntax tree, cell by cell.

A cell that does not parse is a warning; the rest goes on.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from collections.abc import Iterable

from ..notebook import CodeCell
from ..notebook_v4 import printable
from . import shell
from .cellmagics import (
    AUTOMAGICS,
    BACKENDS,
    CODE_MAGICS,
    EXTENSIONS,
    OTHER_BODIES,
    PYTHON_BODIES,
    SHELL_BODIES,
)
from .findings import Findings, Import, Install, PathLiteral, Place, ScriptRun
from .ipython import LineOf, line_map, magic_calls, shell_method, transformed
from .literals import SQLITE, Names, looks_like_path
from .syntax import PlaceOf, scan_tree

DEEPEST = 5  # cell magics inside cell magics
LARGEST = 2_000_000  # characters of a cell that is still looked at
STRING = re.compile(r"""(["'])([^"'\\]{1,300})\1""")
# What %%cython and its like are compiled with; the compiler alone has no header files.
COMPILED_WITH = ("gcc", "libc6-dev")


def scan_cells(cells: Iterable[CodeCell], *, path: str | None = None) -> Findings:
    """What code cells say, in order.

    Args:
        cells: the code cells of a notebook.
        path: its path where it is not the captured notebook but one that this one runs.
    """
    found = Findings()
    names: Names = {}
    for cell in cells:
        scanner = _Cell(cell, path, found, names)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a cell's invalid escapes are not our warnings
            scanner.scan(cell.source)
    return found


def scan_module(text: str, path: str) -> Findings:
    """What the source of a local module says. ``path`` is relative to the notebook's folder."""
    found = Findings()
    lines = text.splitlines()

    def place_of(line: int) -> Place:
        return Place(lines[line - 1] if 0 < line <= len(lines) else "", line=line, path=path)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = _parse(text)
        except _Unparsable as error:
            found.warnings.append(f"{printable(path)} does not parse: {error}.")
        else:
            package = path.rpartition("/")[0].replace("/", ".")
            scan_tree(tree, place_of, found, {"__file__": path, "__package__": package})
    return found


class _Unparsable(Exception):
    """A text is not Python; says why and where."""


def _parse(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise _Unparsable(f"{error.msg} (line {error.lineno or '?'})") from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise _Unparsable(str(error) or "nested too deep") from None


def _is_python(text: str) -> bool:
    try:
        _parse(text)
    except _Unparsable:
        return False
    return True


class _Cell:
    """The scan of one cell."""

    def __init__(self, cell: CodeCell, path: str | None, found: Findings, names: Names) -> None:
        self.cell = cell
        self.path = path
        self.found = found
        self.names = names
        self.lines = cell.source.splitlines()

    def place(self, line: int) -> Place:
        """The place of a line of the cell as it was typed."""
        line = min(max(line, 1), max(len(self.lines), 1))
        text = self.lines[line - 1] if self.lines else ""
        return Place(text, self.cell.index, self.cell.number, line, self.path)

    def scan(self, source: str, start: int = 1, depth: int = 0) -> None:
        """Scan Python with magics that begins at line ``start`` of the cell."""
        if not source.strip():
            return
        if len(source) > LARGEST:
            self._warn(f"has {len(source):,} characters and was not looked at")
            return
        try:
            tree, line_of = self._tree(source)
        except _Unparsable as error:
            if not self._automagic(source, start, depth):
                self._line_by_line(source, start)
                self._warn(f"does not parse: {error}; only imports and file names were read")
            return

        def place_of(line: int) -> Place:
            return self.place(line_of(line) + start - 1)

        magic = line_of is not _same or "get_ipython" in source
        for statement in tree.body:
            # In order: what is written first and read later is not missing.
            for call in magic_calls([statement]) if magic else ():
                self._magic(call, place_of(call.lineno), depth)
            scan_tree(statement, place_of, self.found, self.names)

    def _automagic(self, source: str, start: int, depth: int) -> bool:
        """A cell of one line may be a magic without its sign, such as ``pip install x``."""
        line = source.strip()
        name, _, rest = line.partition(" ")
        if "\n" in line or name not in AUTOMAGICS:
            return False
        self._line_magic(name, rest, self.place(start), depth)
        return True

    def _line_by_line(self, source: str, start: int) -> None:
        """What a cell that is not Python 3 says: most lines of it are, taken by themselves."""
        for offset, line in enumerate(source.splitlines()):
            place = self.place(start + offset)
            try:
                if not re.match(r"\s*(import|from)\s", line):
                    raise _Unparsable
                tree = _parse(line.strip())
            except _Unparsable:
                # Strings that are names of files, whatever is done with them.
                for match in STRING.finditer(line[: shell.LONGEST]):
                    if looks_like_path(match.group(2)):
                        path = PathLiteral(match.group(2), "mention", place, called=False)
                        self.found.paths.append(path)
            else:
                scan_tree(tree, _always(place), self.found, self.names)

    def _tree(self, source: str) -> tuple[ast.Module, LineOf]:
        try:
            return _parse(source), _same
        except _Unparsable as plain:
            # Only what is not Python as it stands can hold magics.
            python = transformed(source)
            if python is None:
                raise
            try:
                return _parse(python), line_map(source, python)
            except _Unparsable as error:
                if "%" in source or "!" in source:
                    raise error from None
                raise plain from None

    def _magic(self, call: ast.Call, place: Place, depth: int) -> None:
        method = shell_method(call)
        texts = [arg.value if isinstance(arg, ast.Constant) else None for arg in call.args]
        words = [text for text in texts if isinstance(text, str)]
        if len(words) != len(texts) or not words:
            return  # its text is computed
        if method in ("system", "getoutput"):
            shell.scan_line(words[0], place, self.found)
        elif method in ("run_line_magic", "magic"):
            name, rest = words[0], " ".join(words[1:])
            if method == "magic":
                name, _, rest = words[0].lstrip("%").partition(" ")
            self._line_magic(name, rest.strip(), place, depth)
        elif method == "run_cell_magic" and len(words) == 3:
            self._cell_magic(words[0], words[1], words[2], place, depth)

    def _line_magic(self, name: str, rest: str, place: Place, depth: int) -> None:
        words = _words(rest)
        if name in ("pip", "uv"):
            shell.pip_arguments(words[1:] if words[:1] == ["pip"] else words, place, self.found)
        elif name in shell.CONDA:
            shell.conda_arguments(words, place, self.found)
        elif name in ("sx", "system", "sc", "!"):
            shell.scan_line(rest, place, self.found)
        elif name in CODE_MAGICS:
            self._code(re.sub(r"^(-\w+(\s+\d+)?\s+|-f\s+\S+\s+)*", "", rest), place, depth)
        elif name == "run":
            self._run(words, place)
        elif name == "cd":
            self._change_folder(rest, place)
        elif name in ("matplotlib", "pylab"):
            self._plotting(name, words, place)
        elif words:
            self._other_magic(name, words, place)

    def _other_magic(self, name: str, words: list[str], place: Place) -> None:
        if name in ("load_ext", "reload_ext"):
            module = EXTENSIONS.get(words[0], words[0])
            if module:
                self._need(module, place)
        elif name == "env" and len(words) == 1 and re.fullmatch(r"\w+", words[0]):
            self.found.env_names.append((words[0], place))
        elif name in ("load", "loadpy", "notebook"):
            self.found.paths.append(PathLiteral(words[-1], "mention", place))
        elif name == "mkdir":
            self.found.paths.append(PathLiteral(words[-1], "make", place))
        elif name == "sql" and (database := SQLITE.match(words[0])):
            self.found.paths.append(PathLiteral(words[0][database.end() :], "mention", place))

    def _change_folder(self, rest: str, place: Place) -> None:
        """``%cd`` is os.chdir, and without an argument goes home."""
        folder = rest.strip().strip("'\"")
        tree = _parse(f"import os\nos.chdir({folder or '~'!r})")
        scan_tree(tree.body[1], _always(place), self.found, self.names)

    def _plotting(self, name: str, words: list[str], place: Place) -> None:
        self._need("matplotlib", place)
        if name == "pylab":
            self._need("numpy", place)
        backend = BACKENDS.get(next((w for w in words if not w.startswith("-")), "inline"))
        if backend:
            self._need(backend, place)

    def _run(self, words: list[str], place: Place) -> None:
        for word in words:
            if word == "-m":
                self._need(words[-1], place)
                return
            if "$" in word or "{" in word:
                return  # computed
            if not word.startswith("-"):
                path = word if word.endswith((".py", ".ipy", ".ipynb")) else word + ".py"
                self.found.runs.append(ScriptRun(path, place))
                return

    def _cell_magic(self, name: str, args: str, body: str, place: Place, depth: int) -> None:
        line = place.line or 1
        if name in PYTHON_BODIES:
            if depth < DEEPEST:
                if name in ("time", "timeit", "prun"):
                    self._code(re.sub(r"^(-\w+(\s+\d+)?\s*)*", "", args), place, depth)
                self.scan(body, line + 1, depth + 1)
        elif name in SHELL_BODIES:
            shell.scan_script(body, place, self.found)
        elif name == "script":
            self._other_program(_script(args), body, place)
        elif name in ("writefile", "file"):
            self._written(args, body, place)
        elif name in OTHER_BODIES:
            self.found.programs.extend((program, place) for program in OTHER_BODIES[name])
            if name.startswith("cython"):
                self._cython(args, body, place)
            elif name == "R":
                self._need("rpy2", place)
            elif name == "sql" and (database := SQLITE.match(args)):
                path = args[database.end() :].split(maxsplit=1)[0]
                self.found.paths.append(PathLiteral(path, "mention", place))
        elif depth < DEEPEST and _is_python(body):
            self.scan(body, line + 1, depth + 1)  # a magic of the notebook's own, or a rare one
        else:
            self._warn(f"uses %%{printable(name[:60])}, which is not known; its body was not read")

    def _other_program(self, program: str, body: str, place: Place) -> None:
        """The body of ``%%script PROGRAM``."""
        if program in SHELL_BODIES:
            shell.scan_script(body, place, self.found)
        elif shell.PYTHON.fullmatch(program):
            self.scan(body, (place.line or 1) + 1, DEEPEST)
        elif program:
            self.found.programs.append((program, place))

    def _cython(self, args: str, body: str, place: Place) -> None:
        """Cython, a compiler with its headers, and what the body imports."""
        self._need("Cython", place)
        # Before Python 3.12 distutils is there; from then on it comes with setuptools.
        self.found.imports.append(Import("setuptools", place, spare=True))
        compilers = ["g++"] if re.search(r"(^|\s)(-\+|--cplus)", args) else []
        self.found.programs.extend((program, place) for program in compilers)
        self.found.installs.extend(Install(name, "apt", place) for name in COMPILED_WITH)
        for offset, line in enumerate(body.splitlines(), start=1):
            match = re.match(r"\s*(?:c?import|from)\s+([A-Za-z_]\w*)", line)
            if match and match.group(1) not in ("libc", "libcpp", "cpython", "cython", "posix"):
                self._need(match.group(1), self.place((place.line or 1) + offset))

    def _written(self, args: str, body: str, place: Place) -> None:
        """A file that the notebook writes itself; a module among them is not missing later."""
        target = next((w for w in reversed(_words(args)) if not w.startswith("-")), "")
        if not target:
            return
        self.found.paths.append(PathLiteral(target, "write", place))
        if target.endswith(".py"):
            self.found.written_modules.append((target, body))

    def _code(self, text: str, place: Place, depth: int) -> None:
        """Python on the line of a magic, such as ``%timeit np.sum(x)``."""
        if text.strip() and depth < DEEPEST:
            try:
                tree = _parse(transformed(text) or text)
            except _Unparsable:
                return  # options that are not known here; the cell itself was fine
            for inner in magic_calls(tree.body):
                self._magic(inner, place, depth + 1)
            scan_tree(tree, _always(place), self.found, self.names)

    def _need(self, module: str, place: Place) -> None:
        self.found.imports.append(Import(module, place))

    def _warn(self, what: str) -> None:
        self.found.warnings.append(f"{self.place(1)} {what}.")


def _always(place: Place) -> PlaceOf:
    return lambda _line: place


def _same(line: int) -> int:
    return line


def _script(args: str) -> str:
    """The program of ``%%script``, after its options."""
    words = iter(_words(args))
    for word in words:
        if not word.startswith("-"):
            return word
        if word in ("--out", "--err", "--proc"):
            next(words, None)
    return ""


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text[: shell.LONGEST])
    except ValueError:
        return text[: shell.LONGEST].split()
