"""Where the user's own Dockerfile instructions stand among the layers, and in which form.

``ARG`` and ``ENV`` come first, so that all that follows has them; ``RUN``, ``COPY``, ``WORKDIR``
and ``SHELL`` after the packages, as root, in the order of the cells; ``LABEL`` beside our own; what
tells how a container runs at the end, in the place of ours.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from itertools import groupby

from .. import credentials
from ..errors import Refused
from ..layout import COPIED
from ..models import ContextFile, InstructionCell
from .instructions import Comment, Given, exec_form
from .parse import Instruction, error_at, parse, title

SHELL: tuple[str, ...] = ("/bin/sh", "-c")
MOST_IN_A_LINE = 60_000  # characters; BuildKit reads no line of more than 65,535
# An image with its tag or digest, which no stage of a Dockerfile can be called.
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*(:[0-9]+/[A-Za-z0-9._/-]+)?[:@][A-Za-z0-9._:-]+")
_BASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
_PLACES = {
    **dict.fromkeys(("ARG", "ENV"), "first"),
    **dict.fromkeys(("RUN", "COPY", "WORKDIR", "SHELL"), "middle"),
    "LABEL": "labels",
    **dict.fromkeys(("EXPOSE", "VOLUME", "STOPSIGNAL"), "last"),
    **dict.fromkeys(("HEALTHCHECK", "USER", "ENTRYPOINT", "CMD"), "last"),
}
_ONCE = ("STOPSIGNAL", "HEALTHCHECK", "USER", "ENTRYPOINT", "CMD")
_RUN_BY_SHELL = ("HEALTHCHECK", "ENTRYPOINT", "CMD")
_NAME = re.compile(r"(?:^|\s)([A-Za-z_]\w*)=", re.ASCII)
# Ours come later, so that the image can be used by anyone.
_OURS = frozenset({"HOME"})

Paragraph = tuple[Comment | Given, ...]


@dataclass(slots=True)
class Custom:
    """The paragraphs of each place, and what they replace.

    ``base`` is what a ``FROM`` names, and ``base_place`` where; ``names`` are the environment
    variables that are set; ``user`` is what ``USER`` says; ``entrypoint`` and ``command`` tell that
    ours is replaced, and ``healthcheck`` that there is one.
    """

    base: str | None = None
    base_place: str = ""
    first: list[Paragraph] = field(default_factory=list)
    middle: list[Paragraph] = field(default_factory=list)
    labels: list[Paragraph] = field(default_factory=list)
    last: list[Paragraph] = field(default_factory=list)
    names: frozenset[str] = frozenset()
    user: str | None = None
    entrypoint: bool = False
    command: bool = False
    healthcheck: bool = False
    warnings: list[str] = field(default_factory=list)


def checked(cell: InstructionCell) -> tuple[Instruction, ...]:
    """The instructions of a cell, each of which a recipe can take in.

    Raises:
        InputError: one is wrong or cannot be taken in; cell and line are named.
        Refused: they hold a credential.
    """
    for secret in credentials.find(cell.text):
        wrong = error_at(
            cell, cell.line + secret.line - 1, f"it holds a credential ({secret.kind})"
        )
        raise Refused(
            f"{wrong.message}, which would be baked into the image.",
            hint="Give it to the container in another way, such as a file that is mounted "
            "(--mount).",
        )
    found = parse(cell)
    for item in found:
        _check(item)
    return found


def read(cells: Iterable[InstructionCell], files: Sequence[ContextFile], mount: str = "") -> Custom:
    """Place the instructions of all cells.

    Args:
        cells: the settings' first, then those of the notebook.
        files: what is in the context for their ``COPY``.
        mount: a mount that every ``RUN`` of theirs gets, for the host's certificates.

    Raises:
        InputError: an instruction is wrong, or a ``COPY`` has no files; cell and line are named.
        Refused: a cell holds a credential.
    """
    found = [item for cell in cells for item in checked(cell)]
    out = Custom()
    base = _base(found)
    if base is not None:
        out.base, out.base_place = base.argument, base.place
    kept = _last_ones(found, out.warnings)
    out.names = frozenset(name for item in kept if item.keyword == "ENV" for name in _names(item))
    for name in sorted(out.names & _OURS):
        out.warnings.append(f"{name} is set by ipydock, so that any user can run the image.")
    shell = SHELL
    rendered: dict[str, list[tuple[Instruction, Given]]] = {}
    for item in kept:
        if item.keyword == "SHELL":
            shell = item.words or SHELL
        given = _given(item, files, mount, shell)
        rendered.setdefault(_PLACES[item.keyword], []).append((item, given))
    for place, rows in rendered.items():
        getattr(out, place).extend(_paragraphs(rows))
    if shell != SHELL:
        out.middle.append((Comment(("The shell of the other layers again:",)), _shell(SHELL)))
    last = {item.keyword: item for item, _ in rendered.get("last", ())}
    if shell != SHELL and any(name in last and _by_shell(last[name]) for name in _RUN_BY_SHELL):
        out.last.insert(0, (Comment(("The shell of what follows:",)), _shell(shell)))
    out.entrypoint, out.command = "ENTRYPOINT" in last, "CMD" in last
    out.healthcheck = "HEALTHCHECK" in last
    if "USER" in last:
        out.user = last["USER"].argument
    _say(found, out)
    return out


def from_of(cells: Iterable[InstructionCell]) -> tuple[str, str] | None:
    """The image that a ``FROM`` names, and the place where it does; None if there is none.

    Raises:
        InputError: there are several, or an instruction is wrong.
        Refused: a cell holds a credential.
    """
    found = _base([item for cell in cells for item in checked(cell)])
    return (found.argument, found.place) if found else None


def sources(item: Instruction) -> tuple[str, ...]:
    """What a ``COPY`` takes from the notebook's folder, as patterns relative to it."""
    if item.keyword != "COPY" or dict(item.flags).get("from"):
        return ()
    words = item.words or tuple(item.argument.split())
    return tuple(posixpath.normpath(word) for word in words[:-1])


# --- checks ------------------------------------------------------------------------------------


def _check(item: Instruction) -> None:
    if item.keyword == "FROM":
        if not _BASE.fullmatch(item.argument) or item.argument.lower() == "scratch":
            raise item.wrong(
                "FROM should name one image, which the notebook's packages are installed on.",
                "Write FROM python:3.12-slim-bookworm or such; a platform is set with --platform.",
            )
    elif item.keyword == "COPY":
        _check_copy(item)
    elif item.keyword == "RUN":
        _check_run(item)


def _check_copy(item: Instruction) -> None:
    image = dict(item.flags).get("from")
    if "from" in dict(item.flags):
        if not IMAGE.fullmatch(image or ""):
            raise item.wrong(
                "--from should name an image with its tag or digest.",
                "Write --from=IMAGE:TAG; there are no other stages to copy from.",
            )
        return
    words = item.words or tuple(item.argument.split())
    for word in words[:-1]:
        if not word.strip() or re.search(r"[\"'\\$`{}]|\*\*", word):
            raise item.wrong(
                f"the source {word!r} is not plain.",
                'Name it as it is, without variables; one with spaces as COPY ["a b", "/c/"].',
            )
        if word.startswith("/") or "://" in word or ".." in word.split("/"):
            raise item.wrong(
                f"{word} lies outside of the notebook's folder.",
                "Copy from that folder, with a path relative to it; --include takes files from "
                "elsewhere in.",
            )
    if re.search(r"[\"'\\`]", words[-1]):
        raise item.wrong(f"the target {words[-1]!r} is not plain.", "Write it without quotes.")


def _check_run(item: Instruction) -> None:
    for name, value in item.flags:
        if name == "network" and value not in ("none", "default"):
            raise item.wrong(f"--network={value} is not taken in.", "A RUN may have none.")
        if name == "mount":
            options = dict(part.partition("=")[::2] for part in (value or "").split(","))
            kind = options.get("type", "bind")
            image = options.get("from")
            if image is not None and not IMAGE.fullmatch(image):
                raise item.wrong("from= of a mount should name an image with its tag.")
            if kind not in ("cache", "tmpfs") and not (kind == "bind" and image is not None):
                raise item.wrong(
                    f"--mount=type={kind} is not taken in.",
                    "Mounts of the type cache and tmpfs are, and bind from an image; files come in "
                    "with COPY.",
                )


def _base(found: Sequence[Instruction]) -> Instruction | None:
    bases = [item for item in found if item.keyword == "FROM"]
    inside = [item for item in bases if item.cell.number is not None]
    if len(inside) > 1:
        raise inside[1].wrong(
            f"FROM is there twice; the other is in {inside[0].place}.",
            "An image has one base; take one of them away.",
        )
    return bases[-1] if bases else None


def _last_ones(found: Sequence[Instruction], warnings: list[str]) -> list[Instruction]:
    """All but those that a later one of their kind replaces, and but FROM."""
    last = {item.keyword: item for item in found}
    kept = []
    for item in found:
        winner = last[item.keyword]
        if item.keyword == "FROM" or (item.keyword in _ONCE and item is not winner):
            if item.keyword not in ("FROM", "USER") and item.cell.number is not None:
                warnings.append(
                    f"{item.keyword} of {item.place} gives way to that of {winner.place}."
                )
            continue
        kept.append(item)
    return kept


def _say(found: Sequence[Instruction], out: Custom) -> None:
    """What an author may not expect of where things stand."""
    users = [n for n, item in enumerate(found) if item.keyword == "USER"]
    if users and any(item.keyword in ("RUN", "COPY") for item in found[users[0] + 1 :]):
        out.warnings.append(
            f"USER of {found[users[0]].place} is not that of the RUN and COPY after it: these run "
            f"as root, and the notebook as {out.user}."
        )
    if out.user is not None and out.user.partition(":")[0] in ("root", "0"):
        out.warnings.append("USER makes the notebook run as root in its container.")


def _by_shell(item: Instruction) -> bool:
    """Whether what a container runs is text for the shell, not words."""
    if item.keyword == "HEALTHCHECK":
        return not re.match(r"(?i:none$|cmd\s+\[)", item.argument)
    return item.words is None


def _names(item: Instruction) -> list[str]:
    return _NAME.findall(item.argument) or item.argument.split(maxsplit=1)[:1]


# --- forms -------------------------------------------------------------------------------------


def _paragraphs(rows: list[tuple[Instruction, Given]]) -> Iterator[Paragraph]:
    for cell, group in groupby(rows, key=lambda row: row[0].cell):
        lines: list[Comment | Given] = [Comment((f"{title(cell)}:",))]
        for item, given in group:
            if item.comments:
                lines.append(Comment(tuple(text.lstrip("# ") for text in item.comments)))
            lines.append(given)
        yield tuple(lines)


def _shell(words: tuple[str, ...]) -> Given:
    return Given((f"SHELL {exec_form(words)}",))


def _given(
    item: Instruction, files: Sequence[ContextFile], mount: str, shell: tuple[str, ...]
) -> Given:
    if item.keyword == "COPY":
        given = _copy(item, files)
    elif item.keyword == "RUN":
        given = _run(item, mount, shell)
    else:
        given = Given((item.keyword + item.lines[0][len(item.keyword) :], *item.lines[1:]))
    if any(len(line) > MOST_IN_A_LINE for line in given.lines):
        raise item.wrong(
            "it is longer than a line may be.", "Put the text into a file and COPY it."
        )
    return given


def _flags(item: Instruction) -> str:
    return "".join(
        f"--{name} " if value is None else f"--{name}={value} " for name, value in item.flags
    )


def _copy(item: Instruction, files: Sequence[ContextFile]) -> Given:
    words = item.words or tuple(item.argument.split())
    wanted = sources(item)
    if not wanted:
        placed = words[:-1]  # from another image
    else:
        for source in wanted:
            if not any(is_source(file.path, source) for file in files):
                raise item.wrong(
                    f"{source} is not in the build context.",
                    "Its files come with the options of the recipe (ipydock.options_for).",
                )
        placed = tuple(f"{COPIED}/" if s == "." else f"{COPIED}/{s}" for s in wanted)
    line = (*placed, words[-1])
    plain = not any(re.search(r"\s", word) for word in line)
    return Given((f"COPY {_flags(item)}{' '.join(line) if plain else exec_form(line)}",))


def is_source(path: str, source: str) -> bool:
    """Whether a ``COPY`` of this source takes the file with this path."""
    return (
        source in (".", path)
        or fnmatch(path, source)
        or path.startswith(f"{source}/")
        or fnmatch(path, f"{source}/*")
    )


def _run(item: Instruction, mount: str, shell: tuple[str, ...]) -> Given:
    head = f"RUN --mount={mount} \\" if mount else "RUN"
    rest: tuple[str, ...]
    if item.documents:
        # Older builders know no here-documents; as one word for the shell it is the same to all.
        rest = (f"{_flags(item)}{exec_form((*shell, _script(item)))}",)
    else:
        first = item.lines[0][len(item.keyword) :].strip(" \t")
        rest = item.lines[1:] if first == "\\" else (first, *item.lines[1:])
    if mount:
        return Given((head, f"    {rest[0].lstrip()}", *rest[1:]))
    return Given((f"{head} {rest[0].lstrip()}", *rest[1:]))


def _script(item: Instruction) -> str:
    """What the shell is given for a ``RUN`` with here-documents (BuildKit, ``dispatchRun``)."""
    first = item.documents[0]
    match = re.fullmatch(r"<<(-?)[\"']?\w+[\"']?", item.argument)
    if match is None:
        return item.argument + "".join(
            "\n" + "".join(f"{line}\n" for line in document.lines) + document.name
            for document in item.documents
        )
    lines = [line.lstrip("\t") if match[1] else line for line in first.lines]
    text = "".join(f"{line}\n" for line in lines)
    if not text.startswith("#!"):
        return text
    end = "IPYDOCK"
    while end in lines:
        end += "_"
    return (
        f'script=$(mktemp) && cat > "$script" <<\'{end}\' && chmod 700 "$script" && '
        f'"$script" && rm "$script"\n{text}{end}\n'
    )
