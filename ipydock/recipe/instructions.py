"""Dockerfile instructions as values that quote themselves.

Everything that comes from a notebook (names, reasons, labels) is hostile until it has passed
through here. What each form needs is in the Dockerfile reference: exec forms are JSON arrays,
quoted words take ``\\`` escapes and expand ``$``, and a comment ends with its line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field


def one_line(text: str, limit: int = 100) -> str:
    """Text fit for a comment: one line, printable, at most ``limit`` characters."""
    flat = " ".join(_printable(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def _printable(text: str) -> str:
    # Line breaks of any kind (also U+2028) would end a comment or an instruction.
    return "".join(c if c.isprintable() else " " for c in text)


def quoted(value: str) -> str:
    """A double-quoted word in which nothing is expanded."""
    escaped = _printable(value).replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def exec_form(words: Iterable[str]) -> str:
    """The JSON array form of CMD, ENTRYPOINT, COPY: no shell, no expansion."""
    return json.dumps(list(words), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Comment:
    """A block of comment lines."""

    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(f"# {_printable(line)}".rstrip() for line in self.lines)


@dataclass(frozen=True, slots=True)
class From:
    """``FROM`` with an optional stage name."""

    image: str
    stage: str = ""

    def __str__(self) -> str:
        return f"FROM {self.image} AS {self.stage}" if self.stage else f"FROM {self.image}"


@dataclass(frozen=True, slots=True)
class Pairs:
    """``LABEL`` or ``ENV`` with one or more key-value pairs."""

    keyword: str
    pairs: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        indent = " " * (len(self.keyword) + 1)
        words = [f"{key}={quoted(value)}" for key, value in self.pairs]
        return f"{self.keyword} " + f" \\\n{indent}".join(words)


@dataclass(frozen=True, slots=True)
class Run:
    """``RUN`` of one or more commands joined by ``&&``.

    Commands are written as they are: only constants and names that were checked (package names,
    versions) may reach them. ``mounts`` are BuildKit mount options.
    """

    commands: tuple[str, ...]
    mounts: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = "".join(f"--mount={mount} \\\n    " for mount in self.mounts)
        return f"RUN {head}" + " && \\\n    ".join(self.commands)


@dataclass(frozen=True, slots=True)
class Copy:
    """``COPY`` of a path of ours (never a name from the notebook)."""

    source: str
    target: str
    chown: str = ""

    def __str__(self) -> str:
        owner = f"--chown={self.chown} " if self.chown else ""
        return f"COPY {owner}{self.source} {self.target}"


@dataclass(frozen=True, slots=True)
class Simple:
    """An instruction with one constant argument: WORKDIR, USER."""

    keyword: str
    argument: str

    def __str__(self) -> str:
        return f"{self.keyword} {self.argument}"


@dataclass(frozen=True, slots=True)
class Exec:
    """``CMD`` or ``ENTRYPOINT`` in exec form."""

    keyword: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.keyword} {exec_form(self.words)}"


@dataclass(frozen=True, slots=True)
class Given:
    """An instruction of the user's, line by line, which `ipydock.recipe.parse` has checked."""

    lines: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.lines)


Instruction = Comment | From | Pairs | Run | Copy | Simple | Exec | Given


@dataclass(slots=True)
class Dockerfile:
    """Paragraphs of instructions; a paragraph is what stands between two empty lines."""

    paragraphs: list[tuple[Instruction, ...]] = field(default_factory=list)

    def add(self, *instructions: Instruction) -> None:
        """Append a paragraph; one of nothing is left out."""
        if instructions:
            self.paragraphs.append(instructions)

    def extend(self, paragraphs: Iterable[tuple[Instruction, ...]]) -> None:
        """Append paragraphs."""
        self.paragraphs.extend(paragraphs)

    def __str__(self) -> str:
        return "\n\n".join("\n".join(map(str, block)) for block in self.paragraphs) + "\n"
