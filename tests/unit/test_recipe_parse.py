"""What is read of Dockerfile instructions, what is refused, and that BuildKit reads the same."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipydock.errors import InputError, IpydockError
from ipydock.models import ContextFile, InstructionCell
from ipydock.recipe.custom import Custom, read
from ipydock.recipe.instructions import Given
from ipydock.recipe.parse import Instruction, parse

# BuildKit's own parser, where there is a wheel of it.
ORACLE = importlib.util.find_spec("dockerfile") is not None


def cell(text: str, number: int = 3, line: int = 2) -> InstructionCell:
    return InstructionCell(text=text, origin=f"cell {number}", line=line, number=number)


def one(text: str) -> Instruction:
    (found,) = parse(cell(text))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN a", ("RUN", "a", None)),
        ("run a", ("RUN", "a", None)),
        ("\tENV A=1  ", ("ENV", "A=1", None)),
        ("RUN a && \\\n# why\n\n  b", ("RUN", "a &&   b", None)),
        ("RUN a \\\r\n b\r\n", ("RUN", "a  b", None)),
        ('CMD ["a", "b"]', ("CMD", '["a", "b"]', ("a", "b"))),
        ("RUN [ -f x ] && y", ("RUN", "[ -f x ] && y", None)),
        ("ENV A=\"x\"'y z'w", ("ENV", "A=\"x\"'y z'w", None)),
        ('LABEL "a b"="c"', ("LABEL", '"a b"="c"', None)),
        ("ARG A B=1", ("ARG", "A B=1", None)),
        ("USER ${U}:0", ("USER", "${U}:0", None)),
        ("WORKDIR $HOME/x", ("WORKDIR", "$HOME/x", None)),
        ("EXPOSE 80 53/udp 1000-1010 $PORT", ("EXPOSE", "80 53/udp 1000-1010 $PORT", None)),
        ("VOLUME /a /b", ("VOLUME", "/a /b", None)),
        ('VOLUME ["/a b"]', ("VOLUME", '["/a b"]', ("/a b",))),
        ("STOPSIGNAL SIGINT", ("STOPSIGNAL", "SIGINT", None)),
        ('SHELL ["bash", "-c"]', ("SHELL", '["bash", "-c"]', ("bash", "-c"))),
        ("HEALTHCHECK NONE", ("HEALTHCHECK", "NONE", None)),
        ("HEALTHCHECK --interval=1m30s CMD x || y", ("HEALTHCHECK", "CMD x || y", None)),
        ("COPY --chown=1:2 a b /c/", ("COPY", "a b /c/", None)),
        ("FROM a/b:c@sha256:" + "0" * 64, ("FROM", "a/b:c@sha256:" + "0" * 64, None)),
    ],
)
def test_what_is_read(text: str, expected: tuple[Any, ...]) -> None:
    found = one(text)
    assert (found.keyword, found.argument, found.words) == expected
    assert found.place == "cell 3, line 2"


def test_a_here_document_is_part_of_its_instruction() -> None:
    run, env = parse(cell("RUN <<EOF\nCOPY evil /\n\n# no comment\nEOF\nENV A=1"))
    assert run.documents[0].lines == ("COPY evil /", "", "# no comment")
    assert (env.keyword, env.line) == ("ENV", 7)
    (two,) = parse(cell("RUN cat <<-A - <<'B'\n\tx\n\tA\ny\nB"))
    assert [(d.name, d.lines) for d in two.documents] == [("A", ("\tx",)), ("B", ("y",))]


def test_comments_stay_with_what_they_stand_above() -> None:
    first, second = parse(cell("# far\n\n# hadolint ignore=DL3008\nRUN a\nRUN b"))
    assert (first.comments, second.comments) == (("# hadolint ignore=DL3008",), ())


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("ENV A=1\n\nLABLE a=b", 4, "Did you mean LABEL?"),
        ("RUNecho a", 2, "Did you mean RUN?"),
        ("ENV", 2, "Write ENV NAME=VALUE."),
        ("RUN", 2, "Write RUN COMMAND."),
        ("COPY a", 2, "Write COPY SOURCE... TARGET."),
        ('COPY ["a"]', 2, "needs a source and a target"),
        ("USER", 2, "Write USER"),
        ("USER a b", 2, "Write USER"),
        ("ENV a b c", 2, "spaces around it"),
        ("LABEL b= <<", 2, "Write LABEL"),
        ("LABEL b=RUN $(echo", 2, "spaces around it"),
        ("ENV A=1\nENV A = b", 3, "spaces around it"),
        ("ENV A=1\nENV B=2 C", 3, "Write ENV NAME=VALUE."),
        ('ENV A="x', 2, "Write ENV"),
        ("WORKDIR /a b", 2, "without spaces"),
        ("EXPOSE web", 2, "Write EXPOSE"),
        ("EXPOSE 80/icmp", 2, "Write EXPOSE"),
        ("EXPOSE 123456", 2, "is not a port"),
        ("RUN a\nCMD ['a', 'b']", 3, "double quotes"),
        ('CMD ["a", ]', 2, "not the JSON form"),
        ('CMD ["a"] x', 2, "not the JSON form"),
        ('RUN ["a"] && b', 2, "not the JSON form"),
        ('CMD ["a", 1]', 2, "not the JSON form"),
        ("CMD [" * 5000, 2, "not the JSON form"),
        ("SHELL bash -c", 2, "SHELL"),
        ("HEALTHCHECK curl x", 2, "needs a command"),
        ("HEALTHCHECK CMD", 2, "needs a command"),
        ("HEALTHCHECK --interval=5 CMD x", 2, "is not a time"),
        ("HEALTHCHECK --retries=5s CMD x", 2, "is not a number"),
        ("ADD x /", 2, "Use COPY"),
        ("ONBUILD RUN x", 2, "leave it out"),
        ("MAINTAINER x", 2, "org.opencontainers.image.authors"),
        ("# escape=`\nRUN x", 2, "part of one"),
        ("# Syntax = docker/dockerfile:1\nRUN x", 2, "part of one"),
        ("EXPOSE 80 # web", 2, "line of its own"),
        ("RUN a \\", 2, "nothing follows"),
        ("RUN a \\\n# b\n\n", 3, "nothing follows"),
        ("RUN a \\\\\nENV B=1", 2, "two backslashes"),
        ("RUN a\u00a0b", 2, "U+00A0"),
        ("RUN a\n\u2028ENV A=1", 3, "U+2028"),
        ("RUN a\rENV A=1", 2, "U+000D"),
        ("RUN a\0", 2, "U+0000"),
        ("RUN <<EOF\nx", 2, "does not follow"),
        ("RUN x<<EOF\nx\nEOF", 2, "not read the same"),
        ("RUN echo ' <<EOF '\nx\nEOF", 2, "not read the same"),
        ("RUN cat <<< x", 2, "not read the same"),
        ("COPY <<EOF /x\nx\nEOF", 2, "RUN cat"),
        ("RUN --security=insecure x", 2, "may have --mount, --network"),
        ("COPY --parents a /b", 2, "may have --chmod"),
        ("CMD --x y", 2, "no options here"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(cell(text))
    assert caught.value.message.startswith(f"Cell 3, line {line}: ")
    assert words in caught.value.paragraph()
    assert "\n" not in caught.value.paragraph()


def test_a_cell_has_an_end() -> None:
    with pytest.raises(InputError, match="100000 characters"):
        parse(cell("RUN a\n" * 30_000))


# --- BuildKit reads the same --------------------------------------------------------------------

COPIED = ContextFile(path="x", sha256="", size_bytes=0, kind="copied")
ORDER = ("first", "middle", "labels", "last")


def written(custom: Custom) -> str:
    """All that is put into a Dockerfile, with instructions around it."""
    parts = ["FROM a"]
    for place in ORDER:
        parts += ["\n".join(map(str, block)) for block in getattr(custom, place)]
        parts.append(f"ENV AFTER_{place.upper()}=1")
    return "\n\n".join(parts) + "\n"


def read_by_buildkit(text: str) -> list[str]:
    import dockerfile

    return [command.cmd.upper() for command in dockerfile.parse_string(text)]


def expected(custom: Custom) -> list[str]:
    """The keywords that were parsed, in the order of their places."""
    found = ["FROM"]
    for place in ORDER:
        lines = (line for block in getattr(custom, place) for line in block)
        found += [line.lines[0].split()[0] for line in lines if isinstance(line, Given)]
        found.append("ENV")
    return found


PIECES = st.sampled_from((
    *("RUN ", "run\t", "ENV A=", "LABEL b=", "COPY x /", "USER u", "CMD ", "ENV ", "WORKDIR /a"),
    *('SHELL ["a"]', "HEALTHCHECK CMD ", "EXPOSE 80", "ARG V", "VOLUME /v", "FROM a", "ADD x y"),
    *("\n", "\n", "\n", "\\\n", "\\", "\\\\\n", " ", "\t", "#", "# x\n", "<<EOF", "<<-EOF"),
    *("<<'EOF'", "EOF\n", "EOF", "\nEOF\n", "<<", "'", '"', "`", "$", "${A}", "[", "]", '["a"]'),
    *('["', '"]', ",", "echo", "x", "=", "--mount=type=cache,target=/c ", "--from=a:b ", "||"),
    *("\r\n", "\r", "\f", "\v", "\u2028", "\u00a0", "é", "\0", "# escape=`\n", "ONBUILD ", "$("),
    *("<<A <<B", "\nA\n", "\nB\n", ">", "2>&1", "\\ ", '\\"', "\\$", "1<<EOF", "((", "--"),
))  # fmt: skip
STARTS = st.sampled_from(
    ("RUN ", "ENV A=", "LABEL a=", "CMD ", "USER ", "HEALTHCHECK CMD ", "VOLUME ", "COPY ", "")
)


@pytest.mark.skipif(not ORACLE, reason="BuildKit's parser has no wheel for this machine")
@settings(max_examples=800, deadline=None)
@given(st.lists(st.tuples(STARTS, st.lists(PIECES, max_size=9).map("".join)), max_size=3))
def test_no_text_becomes_another_instruction_than_was_parsed(
    texts: list[tuple[str, str]],
) -> None:
    given = [cell(start + text, n) for n, (start, text) in enumerate(texts, 1)]
    try:
        custom = read(given, [COPIED], "type=secret")
    except IpydockError:
        return
    text = written(custom)
    assert read_by_buildkit(text) == expected(custom)


@pytest.mark.skipif(not ORACLE, reason="BuildKit's parser has no wheel for this machine")
@settings(max_examples=500, deadline=None)
@given(st.text(max_size=60), STARTS)
def test_nor_does_any_text_at_all(text: str, start: str) -> None:
    try:
        custom = read([cell(start + text)], [COPIED])
    except IpydockError:
        return
    assert read_by_buildkit(written(custom)) == expected(custom)
