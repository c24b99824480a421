"""IPython's syntax as Python: its own transformer, and the way back to the lines as typed."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from .trees import walk

LineOf: TypeAlias = Callable[[int], int]  # line of what is parsed -> line as it was typed

# IPython's transformer reads the whole cell again for every magic in it; beyond this, we do it.
MANY_MAGICS = 40
MAGIC_LINE = re.compile(r"^([ \t]*)([%!])(.*)$", re.MULTILINE)


def transformed(source: str) -> str | None:
    """IPython's syntax as Python, None if IPython itself cannot read it."""
    from IPython.core.inputtransformer2 import TransformerManager

    transformer: Any = TransformerManager  # IPython is not typed
    if not source.lstrip().startswith("%%") and len(MAGIC_LINE.findall(source)) > MANY_MAGICS:
        return MAGIC_LINE.sub(_magic_as_call, source)
    try:
        return str(transformer().transform_cell(source))
    except (SyntaxError, ValueError, RuntimeError, RecursionError, IndexError, AssertionError):
        return None


def _magic_as_call(match: re.Match[str]) -> str:
    indent, mark, text = match.groups()
    if mark == "!":
        return f"{indent}get_ipython().system({text!r})"
    name, _, rest = text.partition(" ")
    return f"{indent}get_ipython().run_line_magic({name!r}, {rest!r})"


def line_map(source: str, transformed: str) -> LineOf:
    """Which line of the source a line of the transformed text came from.

    Transforming drops leading empty lines and joins the continued lines of a magic into one.
    """
    before, after = source.splitlines(), transformed.splitlines()
    at = 0
    while at < len(before) and not before[at].strip():
        at += 1
    origin = []
    for line in after:
        origin.append(at + 1)
        if at < len(before) and line.strip() != before[at].strip():
            while at < len(before) - 1 and before[at].endswith("\\"):
                at += 1
        at += 1
    return lambda line: origin[min(max(line, 1), len(origin)) - 1] if origin else 1


def shell_method(node: ast.AST) -> str | None:
    """The method of the IPython shell that a call calls, None if it calls something else."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    value = node.func.value
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return node.func.attr if value.func.id == "get_ipython" else None
    return None


def magic_calls(statements: list[ast.stmt]) -> Iterator[ast.Call]:
    """Everywhere in these statements where the IPython shell is called."""
    for statement in statements:
        for node in walk(statement):
            if isinstance(node, ast.Call) and shell_method(node) is not None:
                yield node
