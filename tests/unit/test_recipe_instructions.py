from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ipydock.recipe.instructions import Comment, Copy, Dockerfile, Exec, From, Pairs, Run, one_line

HOSTILE = st.text(min_size=0, max_size=60) | st.sampled_from(
    ["a\nRUN evil", "a\r\nRUN evil", "a\u2028RUN evil", 'x" \\', "$HOME", "\\\n", "a\x00b", "\x85"]
)


def test_instructions_are_written_as_a_person_would() -> None:
    out = Dockerfile()
    out.add(Comment(("one", "  two")), From("debian:12", "base"))
    out.add(Pairs("LABEL", (("a", "b"), ("c", 'say "$HI"'))))
    out.add(Run(("apt-get update", "rm -rf /x"), mounts=("type=cache,target=/c",)))
    out.add(Copy("project/", "./", "1000:0"), Exec("CMD", ("ipython", "a b.ipynb")))
    assert str(out) == (
        "# one\n#   two\nFROM debian:12 AS base\n\n"
        'LABEL a="b" \\\n      c="say \\"\\$HI\\""\n\n'
        "RUN --mount=type=cache,target=/c \\\n    apt-get update && \\\n    rm -rf /x\n\n"
        'COPY --chown=1000:0 project/ ./\nCMD ["ipython", "a b.ipynb"]\n'
    )


@given(HOSTILE)
def test_a_comment_stays_one_comment_line(text: str) -> None:
    written = str(Comment((text,)))
    assert len(written.splitlines()) == 1
    assert written.startswith("#")


@given(HOSTILE)
def test_a_label_stays_one_word(text: str) -> None:
    written = str(Pairs("LABEL", (("key", text),)))
    assert len(written.splitlines()) == 1
    body = written.removeprefix('LABEL key="')
    # The first quote that no backslash escapes is the last character.
    position = 0
    while body[position] != '"':
        position += 2 if body[position] == "\\" else 1
    assert position == len(body) - 1
    unescaped = [c for i, c in enumerate(body) if c == "$" and body[i - 1] != "\\"]
    assert not unescaped


@given(st.lists(HOSTILE))
def test_an_exec_form_is_json_on_one_line(words: list[str]) -> None:
    written = str(Exec("CMD", tuple(words)))
    assert json.loads(written.removeprefix("CMD ")) == words
    assert "\n" not in written


def test_one_line_is_cut_and_flat() -> None:
    assert one_line("a  b\n c") == "a b c"
    assert one_line("x" * 200, 10) == "x" * 9 + "…"
