"""Text as it is compared: without what differs between two runs of the same thing."""

from __future__ import annotations

import difflib
import re

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")  # ECMA-48 control sequences
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,16}\b")
_KERNEL_FILE = re.compile(r"\S*ipykernel_\d+[/\\]\d+\.py")  # where ipykernel says a cell is
_SITE = re.compile(r"\S*[/\\](?:site|dist)-packages[/\\]")
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
    text = _KERNEL_FILE.sub("<cell>", text)
    text = _SITE.sub("site-packages/", text)
    lines = (line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))
    return "\n".join(lines).rstrip()


def normalized_markup(text: str) -> str:
    """HTML or SVG without what is not seen: styles, comments and the ids that libraries number."""
    text = _UNSEEN.sub("", text)
    return normalized(_HTML_ID.sub(lambda match: f"{match[1] or 'T_'}…", text))


def first_difference(old: str, new: str, limit: int = 80) -> str:
    """The first line in which two texts differ, as ``'old' -> 'new'``."""
    before, after = old.splitlines(), new.splitlines()
    matcher = difflib.SequenceMatcher(None, before[:2000], after[:2000], autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            left = before[i1] if i1 < i2 else ""
            right = after[j1] if j1 < j2 else ""
            if not left.strip():
                return f"added {_cut(right, limit)}"
            if not right.strip():
                return f"gone {_cut(left, limit)}"
            return f"{_cut(left, limit)} -> {_cut(right, limit)}"
    return f"{len(before)} lines -> {len(after)} lines"


def _cut(text: str, limit: int) -> str:
    text = text.strip()
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")
