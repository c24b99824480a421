"""Dockerfile instructions of the user's, read and checked one by one.

Two readers must agree before anything is believed. Lines are put together here, by the few rules
that BuildKit has for it (continuations, comments in them, here-documents); each instruction is then
parsed by tree-sitter-containerfile, a grammar of the Dockerfile language. What the two read
differently, or what builders are known to read differently, is refused with its line, so that a
text can never become another instruction than the one that was checked.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from ..errors import InputError
from ..models import InstructionCell
from .instructions import one_line

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

MOST_CHARACTERS = 100_000  # of one cell
# How each is written, for those who wrote it otherwise (Dockerfile reference).
USAGE = {
    "FROM": "FROM IMAGE:TAG",
    "ARG": "ARG NAME or ARG NAME=DEFAULT",
    "ENV": "ENV NAME=VALUE",
    "LABEL": 'LABEL NAME="VALUE"',
    "USER": "USER NAME, USER UID or USER UID:GID",
    "WORKDIR": "WORKDIR /FOLDER, without spaces",
    "SHELL": 'SHELL ["/bin/bash", "-o", "pipefail", "-c"]',
    "RUN": "RUN COMMAND",
    "COPY": "COPY SOURCE... TARGET",
    "EXPOSE": "EXPOSE PORT or EXPOSE PORT/udp",
    "VOLUME": "VOLUME /FOLDER",
    "HEALTHCHECK": "HEALTHCHECK --interval=30s CMD COMMAND, or HEALTHCHECK NONE",
    "STOPSIGNAL": "STOPSIGNAL SIGINT",
    "ENTRYPOINT": 'ENTRYPOINT ["PROGRAM", "ARGUMENT"]',
    "CMD": 'CMD ["PROGRAM", "ARGUMENT"]',
}
# What a Dockerfile may have and a recipe does not take in, and what to write instead.
REFUSED = {
    "ADD": "Use COPY for files beside the notebook, and RUN for downloads and archives.",
    "ONBUILD": "It would only act in images that are built from this one; leave it out.",
    "MAINTAINER": 'It is deprecated; write LABEL org.opencontainers.image.authors="NAME".',
}
FLAGS = {
    "RUN": {"mount", "network"},
    "COPY": {"from", "chown", "chmod", "link"},
    "HEALTHCHECK": {"interval", "timeout", "start-period", "start-interval", "retries"},
}
_JSON_ONLY = {"SHELL"}
_JSON_TOO = {"RUN", "CMD", "ENTRYPOINT", "COPY", "VOLUME", *_JSON_ONLY}

_KEYWORD = re.compile(r"[ \t]*(\S+)[ \t]*")
_CONTINUED = re.compile(r"(?<!\\)\\[ \t]*$")
_DIRECTIVE = re.compile(r"#[ \t]*(syntax|escape|check)[ \t]*=", re.IGNORECASE)
_FLAG = re.compile(r"--([a-z-]+)(?:=(\S*))?(?:[ \t]+|$)")
_MARKER = re.compile(r"(?:^|(?<=\s))<<(-?)(\"|'|)([A-Za-z_]\w*)\2(?=\s|$)", re.ASCII)
# Quoting that no builder reads in two ways.
_PLAINLY_QUOTED = re.compile(r"\"[^\"\\$`<]*\"|'[^'\\$`<]*'")
# A word of ENV or LABEL, as BuildKit splits them.
_WORD = re.compile(r"(?:[^\s\"'\\]|\\.|\"(?:[^\"\\]|\\.)*\"|'[^']*')+")
# What begins as the JSON form does, and not as the shell's `[ -f x ]`.
_LIKE_JSON = re.compile(r"\[\s*(\]|[\"'][^\"']*[\"']\s*[],\"'])")
_PORT = re.compile(r"(\d{1,5}(-\d{1,5})?|.*\$.*)(/(tcp|udp|sctp))?")
_DURATION = re.compile(r"(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+")


@dataclass(frozen=True, slots=True)
class HereDocument:
    """A body that follows a ``RUN``; ``lines`` are those between the marker and its name."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction that was checked.

    ``lines`` are as they were written, without what ends a here-document's; ``argument`` is what
    follows keyword and ``flags``, on one line; ``words`` are those of the JSON form, None for the
    other. ``line`` counts from 1 in the cell; ``comments`` stood right above.
    """

    keyword: str
    lines: tuple[str, ...]
    argument: str
    flags: tuple[tuple[str, str | None], ...]
    words: tuple[str, ...] | None
    documents: tuple[HereDocument, ...]
    comments: tuple[str, ...]
    cell: InstructionCell
    line: int

    @property
    def place(self) -> str:
        """Such as ``cell 3, line 2``."""
        return f"{self.cell.origin}, line {self.line}"

    def wrong(self, what: str, hint: str = "") -> InputError:
        """The error for this instruction."""
        return error_at(self.cell, self.line, what, hint)


def error_at(cell: InstructionCell, line: int, what: str, hint: str = "") -> InputError:
    """The error for a line of a cell, both named."""
    return InputError(f"{title(cell)}, line {line}: {what}", hint=hint)


def title(cell: InstructionCell) -> str:
    """The origin of a cell as a sentence begins with it; the name of a file stays as it is."""
    is_cell = cell.origin.startswith(("cell ", "this "))
    return cell.origin[:1].upper() + cell.origin[1:] if is_cell else cell.origin


def parse(cell: InstructionCell) -> tuple[Instruction, ...]:
    """The instructions of a cell, in order.

    Raises:
        InputError: one is wrong, or is none that a recipe takes in; cell and line are named.
    """
    text = cell.text.replace("\r\n", "\n")
    if len(text) > MOST_CHARACTERS:
        raise error_at(cell, cell.line, f"more than {MOST_CHARACTERS} characters of instructions.")
    lines = text.split("\n")
    for number, line in enumerate(lines, cell.line):
        _check_characters(cell, number, line)
    return tuple(_instructions(cell, lines))


def _check_characters(cell: InstructionCell, number: int, line: str) -> None:
    odd = next((c for c in line if not (c.isprintable() or c == "\t")), None)
    if odd is not None:
        raise error_at(
            cell,
            number,
            f"it holds the invisible character U+{ord(odd):04X}.",
            "Type it anew; such characters often come with text that was pasted.",
        )


def _instructions(cell: InstructionCell, lines: list[str]) -> Iterator[Instruction]:
    comments: list[str] = []
    at = 0
    while at < len(lines):
        line = lines[at].strip(" \t")
        if not line:
            comments, at = [], at + 1
        elif line.startswith("#"):
            if _DIRECTIVE.match(line):
                raise error_at(
                    cell,
                    cell.line + at,
                    "a parser directive is about a whole Dockerfile, and this is a part of one.",
                    "Leave it out; lines are continued with a backslash.",
                )
            comments.append(line)
            at += 1
        else:
            end = _end_of_instruction(cell, lines, at)
            found, at = _instruction(cell, lines, at, end, tuple(comments))
            comments = []
            yield found


def _end_of_instruction(cell: InstructionCell, lines: list[str], start: int) -> int:
    """The index after the last line of the instruction that starts here, its here-documents not
    counted."""
    at = start
    while True:
        line = lines[at]
        bare = line.strip(" \t")
        is_part = at == start or (bare != "" and not bare.startswith("#"))
        if is_part and re.search(r"\\\\[ \t]*$", line):
            raise error_at(
                cell,
                cell.line + at,
                "a line that ends with two backslashes is not read the same by all builders.",
                "Put something after them, or write it with quotes.",
            )
        if is_part and not _CONTINUED.search(line):
            return at + 1
        at += 1
        if at == len(lines) or not any(part.strip(" \t") for part in lines[at:]):
            raise error_at(
                cell,
                cell.line + at - 1,
                "it says that the instruction goes on (\\), and nothing follows.",
                "Take the backslash away, or write the rest.",
            )


def _instruction(
    cell: InstructionCell, lines: list[str], start: int, end: int, comments: tuple[str, ...]
) -> tuple[Instruction, int]:
    """The instruction in these lines, and the index of the line after it."""
    number = cell.line + start
    written = tuple(
        line.rstrip(" \t") for line in lines[start:end] if line.strip(" \t")
    )  # an empty line in a continuation is deprecated
    parts = [line for line in written if line is written[0] or not line.lstrip().startswith("#")]
    joined = "".join(_CONTINUED.sub("", line) for line in parts)
    match = _KEYWORD.match(joined)
    keyword = match[1].upper() if match else ""
    _check_keyword(cell, number, keyword)
    flags, argument = _flags(cell, number, keyword, joined[match.end() if match else 0 :].strip())
    documents, after = _documents(cell, keyword, argument, lines, end)
    text = "\n".join(lines[start:after])
    pairs = len(_WORD.findall(argument)) if keyword in ("ENV", "LABEL") else 0
    _check_grammar(cell, number, text, keyword=keyword, pairs=pairs, documents=documents)
    found = Instruction(
        keyword=keyword,
        lines=(written[0].lstrip(" \t"), *written[1:]),
        argument=argument,
        flags=flags,
        words=_words(cell, number, keyword, argument),
        documents=documents,
        comments=comments,
        cell=cell,
        line=number,
    )
    _check_meaning(found)
    return found, after


def _check_keyword(cell: InstructionCell, number: int, keyword: str) -> None:
    if keyword in REFUSED:
        raise error_at(cell, number, f"{keyword} is not taken in.", REFUSED[keyword])
    if keyword not in USAGE:
        near = difflib.get_close_matches(keyword, USAGE, n=1)
        raise error_at(
            cell,
            number,
            f"{one_line(keyword, 30)} is not an instruction of a Dockerfile.",
            f"Did you mean {near[0]}?" if near else f"There are {', '.join(USAGE)}.",
        )


def _flags(
    cell: InstructionCell, number: int, keyword: str, text: str
) -> tuple[tuple[tuple[str, str | None], ...], str]:
    """The flags before the argument, and the argument."""
    flags: list[tuple[str, str | None]] = []
    while text.startswith("--"):
        match = _FLAG.match(text)
        known = FLAGS.get(keyword, set())
        if match is None or match[1] not in known:
            shown = one_line(text.split(maxsplit=1)[0], 40)
            listed = ", ".join(f"--{name}" for name in sorted(known))
            raise error_at(
                cell,
                number,
                f"{keyword} {shown} is not taken in.",
                f"{keyword} may have {listed}." if known else f"{keyword} has no options here.",
            )
        if re.search(r"[\"'\\$`]", match[2] or ""):
            raise error_at(
                cell, number, f"--{match[1]} must be plain, without quotes or variables."
            )
        flags.append((match[1], match[2]))
        text = text[match.end() :]
    return tuple(flags), text


def _documents(
    cell: InstructionCell, keyword: str, argument: str, lines: list[str], at: int
) -> tuple[tuple[HereDocument, ...], int]:
    """The here-documents that an instruction opens, and the index of the line after them."""
    if "<<" not in argument or keyword not in ("RUN", "COPY"):
        return (), at
    line = cell.line + at - 1
    markers = list(_MARKER.finditer(argument))
    # What is left of a marker keeps quotes around it from being taken for plain ones.
    rest = _PLAINLY_QUOTED.sub("", _MARKER.sub("<", argument))
    if keyword == "COPY":
        raise error_at(
            cell, line, "COPY takes in files, not text.", "Write RUN cat > FILE <<'EOF' instead."
        )
    if not markers or "<<" in rest or re.search(r"[\"'\\`]", rest):
        raise error_at(
            cell,
            line,
            "`<<` beside quotes is not read the same by all builders.",
            "Write a here-document as <<EOF or <<'EOF', and put what needs quotes into its lines.",
        )
    found = []
    for marker in markers:
        strip, name = bool(marker[1]), marker[3]
        body = []
        while True:
            if at == len(lines):
                raise error_at(
                    cell, line, f"the line {name} that ends the here-document does not follow."
                )
            text = lines[at].lstrip("\t") if strip else lines[at]
            at += 1
            if text == name:
                break
            body.append(lines[at - 1])
        found.append(HereDocument(name, tuple(body)))
    return tuple(found), at


@cache
def _parser() -> Parser:
    import tree_sitter
    import tree_sitter_containerfile

    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_containerfile.language()))


def _check_grammar(
    cell: InstructionCell,
    number: int,
    text: str,
    *,
    keyword: str,
    pairs: int,
    documents: tuple[HereDocument, ...],
) -> None:
    """Raise `InputError` unless the parser reads this one instruction and nothing else in it.

    ``pairs`` is how many words with ``=`` there should be, 0 where the instruction has none.
    """
    root = _parser().parse(f"{text}\n".encode()).root_node
    if root.has_error:
        wrong = next(_errors(root), root)
        # Where something is missing the grammar may look for it on the lines that follow.
        row = min(wrong.start_point[0], text.count("\n"))
        raise error_at(
            cell,
            number + row,
            f"{keyword} is not complete or not right.",
            f"Write {USAGE[keyword]}.",
        )
    lines = text.split("\n")
    for comment in _of(root, "comment"):
        row, _ = comment.start_point
        if not lines[row].lstrip(" \t").startswith("#"):
            raise error_at(
                cell,
                number + row,
                "`#` begins no comment behind an instruction.",
                "Give the comment a line of its own.",
            )
    read_pairs = [pair for kind in ("env_pair", "label_pair") for pair in _of(root, kind)]
    if len(read_pairs) != pairs or not all(
        any(child.type == "=" for child in pair.children) for pair in read_pairs
    ):
        raise error_at(
            cell,
            number,
            f"{keyword} without `=`, or with spaces around it, is not taken in.",
            f"Write {USAGE[keyword]}, with quotes around what has spaces.",
        )
    read = [node.type for node in root.named_children if node.type != "comment"]
    markers = [
        (node.text or b"").decode().lstrip("<-").strip("\"'")
        for node in _of(root, "heredoc_marker")
    ]
    whole = root.named_children[0].text if read else None
    names = [document.name for document in documents]
    covered = names or (whole or b"").decode().strip() == text.strip()
    if read != [f"{keyword.lower()}_instruction"] or markers != names or not covered:
        raise error_at(
            cell,
            number,
            f"this {keyword} is not read the same by all builders.",
            "Write it simpler.",
        )


def _errors(node: Node) -> Iterator[Node]:
    if node.is_error or node.is_missing:
        yield node
    for child in node.children:
        if child.has_error:
            yield from _errors(child)


def _of(node: Node, kind: str) -> Iterator[Node]:
    if node.type == kind:
        yield node
    for child in node.children:
        yield from _of(child, kind)


def _words(
    cell: InstructionCell, number: int, keyword: str, argument: str
) -> tuple[str, ...] | None:
    """The words of the JSON form; None where it is not used."""
    meant = argument.startswith("[") if keyword != "RUN" else bool(_LIKE_JSON.match(argument))
    if keyword not in _JSON_TOO or not (meant or keyword in _JSON_ONLY):
        return None
    try:
        words = json.loads(argument)
    except (ValueError, RecursionError):
        words = None
    if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
        raise error_at(
            cell,
            number,
            f"what follows {keyword} is not the JSON form.",
            'It needs double quotes and commas, such as ["python", "-m", "x"].',
        )
    return tuple(words)


def _check_meaning(found: Instruction) -> None:
    """What the grammar lets pass and a builder does not."""
    argument = found.argument
    if found.keyword == "EXPOSE":
        for port in argument.split():
            if not _PORT.fullmatch(port):
                raise found.wrong(
                    f"{one_line(port, 30)} is not a port.", f"Write {USAGE['EXPOSE']}."
                )
    elif found.keyword == "HEALTHCHECK":
        _check_health(found)
    elif found.keyword == "COPY" and len(found.words or argument.split()) < 2:
        raise found.wrong("COPY needs a source and a target.", f"Write {USAGE['COPY']}.")


def _check_health(found: Instruction) -> None:
    kind, _, command = found.argument.partition(" ")
    if kind.upper() == "NONE" and not command and not found.flags:
        return
    if kind.upper() != "CMD" or not command.strip():
        raise found.wrong("HEALTHCHECK needs a command.", f"Write {USAGE['HEALTHCHECK']}.")
    if command.lstrip().startswith("["):
        _words(found.cell, found.line, "CMD", command.strip())
    for name, value in found.flags:
        pattern = re.compile(r"\d+") if name == "retries" else _DURATION
        if not pattern.fullmatch(value or ""):
            raise found.wrong(
                f"--{name} of HEALTHCHECK is not a {'number' if name == 'retries' else 'time'}.",
                f"Write --{name}={'3' if name == 'retries' else '30s'}.",
            )
