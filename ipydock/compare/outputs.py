"""The outputs of one cell, old and new, compared by kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..notebook import OWN_OUTPUT
from .images import difference
from .text import first_difference, normalized, normalized_markup

# Types that say nothing that the others of the same bundle do not say better.
_IGNORED = frozenset({"application/vnd.jupyter.widget-view+json"})
_MARKUP = frozenset({"text/html", "image/svg+xml"})
_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def merged(outputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The notebook's own outputs with adjacent pieces of one stream joined: the cuts are chance."""
    joined: list[dict[str, Any]] = []
    for output in outputs:
        if OWN_OUTPUT in output.get("metadata", {}):
            continue
        last = joined[-1] if joined else None
        if output["output_type"] == "stream":
            text = _text(output.get("text", ""))
            if last and last["output_type"] == "stream" and last["name"] == output["name"]:
                last["text"] += text
                continue
            joined.append({**output, "text": text})
        else:
            joined.append(dict(output))
    return [output for output in joined if output.get("text", True)]


def compare_outputs(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> str:
    """What differs between the outputs of a cell, in one sentence; empty if nothing does."""
    before, after = _split(merged(old)), _split(merged(new))
    for stream in ("stdout", "stderr"):
        left, right = (normalized(side[0].get(stream, "")) for side in (before, after))
        if left != right:
            return f"{stream}: {first_difference(left, right)}"
    for left_output, right_output in zip(before[1], after[1], strict=False):
        if found := _rich(left_output, right_output):
            return found
    if len(before[1]) != len(after[1]):
        return f"{_kinds(before[1])} -> {_kinds(after[1])}"
    return ""


def _split(outputs: list[dict[str, Any]]) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """The text of each stream, and the other outputs: the two streams race, so order is chance."""
    streams: dict[str, str] = {}
    for output in outputs:
        if output["output_type"] == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + output["text"]
    return streams, [output for output in outputs if output["output_type"] != "stream"]


def _rich(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    if "error" in (old["output_type"], new["output_type"]):
        left, right = _error(old), _error(new)
        return "" if left == right else f"error: {first_difference(left, right)}"
    before, after = old.get("data", {}), new.get("data", {})
    common = [mime for mime in before if mime in after and mime not in _IGNORED]
    if not common:
        return "" if before.keys() == after.keys() else f"{_mimes(before)} -> {_mimes(after)}"
    pictures = [mime for mime in common if mime in _IMAGES]
    # Plain text first: it says in the fewest words what differs.
    for mime in sorted(common, key=lambda mime: mime != "text/plain"):
        # Beside a picture the text only names the object, such as <Figure size 640x480>.
        if pictures and mime == "text/plain":
            continue
        if found := _data(mime, before[mime], after[mime]):
            return f"{mime}: {found}"
    return ""


def _data(mime: str, old: Any, new: Any) -> str:
    if mime in _IMAGES:
        return difference(_text(old), _text(new))
    clean = normalized_markup if mime in _MARKUP else normalized
    left, right = (clean(_text(value)) for value in (old, new))
    return "" if left == right else first_difference(left, right)


def _error(output: Mapping[str, Any]) -> str:
    if output["output_type"] != "error":
        return "no error"
    return f"{output.get('ename', '')}: {normalized(str(output.get('evalue', '')))}"


def _kinds(outputs: list[dict[str, Any]]) -> str:
    kinds = [next(iter(o.get("data", {})), o["output_type"]) for o in outputs]
    return f"{len(kinds)} outputs ({', '.join(kinds)})" if kinds else "no output"


def _mimes(data: Mapping[str, Any]) -> str:
    return ", ".join(data) or "nothing"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "".join(value)
    return json.dumps(value, sort_keys=True)
