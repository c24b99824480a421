"""What a cell printed, put together from the pieces in which it came.

As nbclient does with ``coalesce_streams``, whose time grows with the square of a line's length and
of the number of pieces: ten megabytes without a line break take it many minutes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def joined(outputs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A cell's outputs with one for each stream, where its first piece was.

    A carriage return overwrites its line, as on a terminal. Of standard output and standard error
    next to each other, whose order is a matter of chance, standard output comes first.
    """
    result: list[dict[str, Any]] = []
    pieces: dict[str, list[str]] = {}
    for output in outputs:
        name = output["name"] if output["output_type"] == "stream" else None
        if name in pieces:
            pieces[name].append(output["text"])
            continue
        if name is not None:
            pieces[name] = [output["text"]]
        result.append(output)
    for at, output in enumerate(result):
        if output["output_type"] == "stream":
            output["text"] = _overwritten("".join(pieces[output["name"]]))
            before = result[at - 1] if at else output
            if output["name"] == "stdout" and before.get("name") == "stderr":
                result[at - 1], result[at] = output, before
    return result


def _overwritten(text: str) -> str:
    if "\r" not in text:
        return text
    # One at the end of a line, as in "\r\n", overwrites nothing.
    return "\n".join(line[line.rfind("\r", 0, -1) + 1 :] for line in text.split("\n"))
