"""Shell lines of a notebook: what they install, which programs and scripts they start."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise

from .findings import Findings, Import, Install, PathLiteral, Place, ScriptRun, words
from .literals import WEB_HOST, downloaded_name, looks_like_path

LONGEST = 20_000  # characters of one command; longer ones hold data, not words
OPERATORS = frozenset({"&&", "||", "|", ";", "&", "|&", ";;", "(", ")", "((", "))"})
BUILTINS = words(
    """
    cd echo export source . test [ [[ if then else elif fi for while until do done case esac
    exit set unset alias unalias pwd read true false : eval exec type command printf ulimit wait
    trap shift return function let local declare typeset readonly break continue { } ! select in
    pushd popd dirs hash history jobs kill bg fg disown shopt builtin getopts times umask logout
    """
)
# Words that run the command after them.
WRAPPERS = words(
    """
    sudo time nohup env nice exec command stdbuf timeout xargs then do else !
    """
)
PYTHON = re.compile(r"(.*/)?python(\d(\.\d+)?)?(\.exe)?")
PIP = re.compile(r"(.*/)?pip(\d(\.\d+)?)?")
CONDA = frozenset({"conda", "mamba", "micromamba"})
APT = frozenset({"apt", "apt-get", "aptitude"})
# Options of pip install that take a value of their own.
PIP_VALUES = words(
    """
    -i --index-url --extra-index-url -f --find-links -c --constraint -t --target --prefix --root
    --python --platform --python-version --implementation --abi --proxy --timeout --retries
    --cert --trusted-host --cache-dir --log --no-binary --only-binary --progress-bar --src
    --global-option --install-option --config-settings -C --build-option --upgrade-strategy
    --exists-action
    """
)
CONDA_VALUES = words(
    """
    -n --name -p --prefix -c --channel --file --solver --repodata-fn
    """
)
APT_VALUES = words("-t --target-release -o --option -c")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
WORD = re.compile(r"[A-Za-z0-9_./+-]{1,200}")


def scan_line(text: str, place: Place, found: Findings) -> None:
    """Take up one command line, such as what follows ``!``."""
    for command in commands(text):
        _command(command, place, found)
    for host in WEB_HOST.findall(text[:LONGEST]):
        found.hosts.append((host.lower(), place))


def scan_words(words: list[str], place: Place, found: Findings) -> None:
    """Take up one command that is given as a list of words."""
    _command(words, place, found)


def scan_script(text: str, place: Place, found: Findings) -> None:
    """Take up a shell script: the body of a ``%%bash`` cell, a line below ``place``."""
    here_document = ""
    pending = ""
    for offset, line in enumerate(text.splitlines(), start=1):
        if here_document:
            here_document = "" if line.strip() == here_document else here_document
            continue
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        whole, pending = pending + line, ""
        opened = re.search(r"<<-?\s*['\"]?(\w+)", whole)
        here_document = opened.group(1) if opened else ""
        at = Place(line, place.cell, place.number, (place.line or 0) + offset, place.path)
        scan_line(whole, at, found)


def commands(text: str) -> Iterator[list[str]]:
    """The simple commands of a line, as words; quoting is undone, operators split."""
    text = text[:LONGEST]
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|()")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:  # an open quote, or an apostrophe in plain words
        words = text.split()
    command: list[str] = []
    for word in words:
        if word in OPERATORS:
            if command:
                yield command
            command = []
        else:
            command.append(word)
    if command:
        yield command


def _command(words: list[str], place: Place, found: Findings) -> None:
    words = _unwrapped(words)
    if not words:
        return
    program, rest = words[0], words[1:]
    is_python = bool(PYTHON.fullmatch(program)) or program == "{sys.executable}"
    if is_python and rest[:1] == ["-m"] and len(rest) > 1:
        if not _installer(rest[1], rest[2:], place, found) and NAME.fullmatch(rest[1]):
            found.imports.append(Import(rest[1], place))
        return
    if is_python:
        _python(rest, place, found)
    elif not _installer(program, rest, place, found):
        _program(program, rest, place, found)


def _installer(program: str, rest: list[str], place: Place, found: Findings) -> bool:
    """Take up a command of a package manager; whether it is one."""
    if program == "uv" and rest[:1] == ["pip"]:
        pip_arguments(rest[1:], place, found)
    elif PIP.fullmatch(program):
        pip_arguments(rest, place, found)
    elif program in CONDA:
        conda_arguments(rest, place, found)
    elif program in APT:
        _apt(rest, place, found)
    elif program == "easy_install":
        pip_arguments(["install", *rest], place, found)
    else:
        return False
    return True


def _program(program: str, rest: list[str], place: Place, found: Findings) -> None:
    if program not in BUILTINS and WORD.fullmatch(program) and program.strip("./-0123456789"):
        found.programs.append((program.rsplit("/", 1)[-1], place))
    if program in ("wget", "curl"):
        _fetch(rest, place, found)
        return
    if program == "mkdir":
        made = (word for word in rest if not word.startswith("-"))
        found.paths.extend(PathLiteral(word, "make", place) for word in made)
        return
    if "/" in program and not program.startswith("/"):
        found.paths.append(PathLiteral(program, "mention", place))
    for word in rest:
        if looks_like_path(word):
            found.paths.append(PathLiteral(word, "mention", place, called=False))


def _unwrapped(words: list[str]) -> list[str]:
    """A command without sudo, assignments before it and the like."""
    while words:
        word = words[0]
        wrapped = word in WRAPPERS
        if re.match(r"[A-Za-z_]\w*=", word):
            words = words[1:]
        elif wrapped and len(words) > 1:
            words = words[1:]
            while words and (words[0].startswith("-") or re.fullmatch(r"\d+[smh]?", words[0])):
                words = words[1:]
        else:
            break
    return words


def _python(rest: list[str], place: Place, found: Findings) -> None:
    for word in rest:
        if word == "-c":
            return
        if not word.startswith("-"):
            if word.endswith(".py"):
                found.runs.append(ScriptRun(word, place))
            return


def _fetch(rest: list[str], place: Place, found: Findings) -> None:
    """The file that wget or curl leaves: it is a download, not something that must be there."""
    for option, value in pairwise(rest):
        if option in ("-O", "-o", "--output", "--output-document") and looks_like_path(value):
            found.paths.append(PathLiteral(value, "download", place))
            return
    for word in rest:
        name = downloaded_name(word) if WEB_HOST.match(word) else None
        if name is not None:
            found.paths.append(PathLiteral(name, "download", place))


def pip_arguments(words: list[str], place: Place, found: Findings) -> None:
    """Take up ``pip install ...`` after the word pip."""
    operands = _operands(words, PIP_VALUES | {"-r", "--requirement", "-e", "--editable"})
    for option, word in operands:
        if option in ("-r", "--requirement"):
            found.requirement_files.append((word, place))
        elif option in ("-e", "--editable") or (not option and word in (".", "..", "./", "-")):
            found.warnings.append(
                f"{place}: `{Place(place.text).evidence().text}` installs a local folder, "
                "which capture does not follow."
            )
        elif not option and "{" not in word and "$" not in word:
            found.installs.append(Install(word[:300], "pip", place))


def conda_arguments(words: list[str], place: Place, found: Findings) -> None:
    """Take up ``conda install ...`` after the word conda."""
    for option, word in _operands(words, CONDA_VALUES):
        name = word.rsplit("::", 1)[-1]  # channel::name
        if not option and NAME.match(name):
            found.installs.append(Install(name[:300], "conda", place))


def _apt(words: list[str], place: Place, found: Findings) -> None:
    for option, word in _operands(words, APT_VALUES):
        name = re.split(r"[=/:]", word)[0]  # name=version, name/release, name:architecture
        if not option and re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name):
            found.installs.append(Install(name, "apt", place))


def _operands(words: list[str], valued: frozenset[str]) -> Iterator[tuple[str, str]]:
    """(option or empty, word) of an install command; nothing if it is another command."""
    seen = False
    option = ""
    for word in words:
        if word.startswith("#"):
            return
        if option:
            if seen:
                yield option, word
            option = ""
        elif word in valued:
            option = word
        elif word.startswith("-") and word != "-":
            continue
        elif not seen:
            if word != "install":
                return
            seen = True
        elif word not in (">", ">>", "2>&1", "/dev/null", "2>", "1>"):
            yield "", word
