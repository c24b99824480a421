"""Where the notebook's folder lies in the image, so that its cells' paths lead to its files."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..layout import above, is_system, levels
from ..models import ContextFile
from .layers import WORKDIR

# What a folder name may have in a Dockerfile without anything being expanded or unescaped.
_NOT_PLAIN = re.compile(r"[^\w @+=,.-]|^ | $")


@dataclass(frozen=True, slots=True)
class Layout:
    """``workdir`` is the notebook's folder in the image; ``folder`` its last names, as many as
    files lie above it (see `ipydock.layout`)."""

    workdir: str
    folder: str
    warnings: tuple[str, ...] = ()


def layout_of(files: Sequence[ContextFile], captured: str, given: str) -> Layout:
    """The layout for these files.

    Args:
        files: what is copied.
        captured: what the cells depend on, as `Capture.folder` has it.
        given: the notebook's folder, for files that the user names above it.

    Raises:
        InputError: files lie above the folder, and it is not known what its names are.
    """
    relative = [file.path for file in files if not file.path.startswith("/")]
    up = max((levels(path) for path in relative), default=0)
    warnings: tuple[str, ...] = ()
    if captured.startswith("/"):
        places = [posixpath.normpath(f"{captured}/{path}") for path in (".", *relative)]
        if all(map(_is_plain, captured.strip("/").split("/"))) and not any(map(is_system, places)):
            return Layout(captured, above(captured, up))
        warnings = (
            f"Cells name the notebook's folder as {captured}, which the image cannot have; write "
            "paths that are relative to the notebook instead.",
        )
        captured = above(captured, up)
    names = captured if captured.count("/") + 1 >= up and captured else above(given, up)
    if up and not names:
        raise InputError(
            "Files above the notebook's folder are included, but not where that folder is.",
            hint="Give Options(folder=...), the absolute path of the notebook's folder.",
        )
    parts = [_NOT_PLAIN.sub("_", part) for part in names.split("/") if part]
    if not parts:
        return Layout(WORKDIR, "", warnings)
    return Layout("/".join((WORKDIR, *parts)), "/".join(parts), warnings)


def _is_plain(name: str) -> bool:
    return not _NOT_PLAIN.search(name)
