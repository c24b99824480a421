"""Text as it is compared: without what differs between two runs of the same thing."""

from __future__ import annotations

import re

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # ECMA-48 control sequences
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,16}\b")
# The ends of paths that differ between machines; what stands before them goes.
_KERNEL_FILE = re.compile(r"ipykernel_\d+[/\\]\d+\.py")  # where ipykernel says a cell is
_SITE = re.compile(r"(?:site|dist)-packages[/\\]")
_PATH_STARTS = frozenset("\"'`(=,;<>| \t\n\r")  # what can stand before a path
# In HTML and SVG: style sheets, and comments, in which programs put their own version.
_UNSEEN = re.compile(r"<style\b.*?</style>|<!--.*?-->", re.DOTALL | re.IGNORECASE)
# Ids that libraries number or draw anew: scikit-learn's diagrams, pandas' Styler.
_HTML_ID = re.compile(r"\b(sk-(?:container|estimator)-id-)\d+|\bT_[0-9a-f]{5}_?")


def normalized(text: str) -> str:
    """The text with ANSI codes, memory addresses and machine paths of code taken out.

    A carriage return overwrites the line, as on a terminal, so that of a progress bar the last
    state is left. Trailing white space goes.
    """
    text = _ANSI.sub("", text)
    text = _ADDRESS.sub("0x…", text)
    text = _without_paths(_KERNEL_FILE, "<cell>", text)
    text = _without_paths(_SITE, "site-packages/", text)
    lines = (line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))
    return "\n".join(lines).rstrip()


def _without_paths(end: re.Pattern[str], replacement: str, text: str) -> str:
    """The text with each path up to ``end`` replaced; in linear time, whatever the text is."""
    parts = []
    done = 0
    for match in end.finditer(text):
        start = match.start()
        while start > done and text[start - 1] not in _PATH_STARTS:
            start -= 1
        parts += [text[done:start], replacement]
        done = match.end()
    return "".join([*parts, text[done:]])


def normalized_markup(text: str) -> str:
    """HTML or SVG without what is not seen: styles, comments and the ids that libraries number."""
    text = _UNSEEN.sub("", text)
    return normalized(_HTML_ID.sub(lambda match: f"{match[1] or 'T_'}…", text))


def first_difference(old: str, new: str, limit: int = 80) -> str:
    """The first line in which two texts differ, as ``'old' -> 'new'``."""
    before, after = old.splitlines(), new.splitlines()
    pairs = zip(before, after, strict=False)
    at = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(before), len(after)))
    left, right = before[at : at + 2], after[at : at + 2]
    if not left or left[:1] == right[1:]:
        return f"added {_cut(right[0], limit)}"
    if not right or right[:1] == left[1:]:
        return f"gone {_cut(left[0], limit)}"
    return f"{_cut(left[0], limit)} -> {_cut(right[0], limit)}"


def _cut(text: str, limit: int) -> str:
    text = text.strip()
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
