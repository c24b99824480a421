"""Which environment variables code names when it reads ``os.environ``: standard library only.

While `watch` is on, ``os.environ`` is of a subclass of its type that tells who reads what. It
looks, copies and pickles as before.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

PLAIN: Any = os._Environ
_BETWEEN = {os.__file__, sys.modules["_collections_abc"].__file__}
_BETWEEN |= {"<frozen os>", "<frozen _collections_abc>"}

_note: Callable[[str, Any], None] | None = None  # takes a name and the frame of who reads it
_passing: list[Any] = [None, None]  # who goes over all names, and where they are


# A class that is found when this runs, and that only CPython's os module has.
class _Environ(PLAIN):  # type: ignore[misc]
    def __getitem__(self, key: Any) -> Any:
        if _note is not None and isinstance(key, str):
            frame = _asker(sys._getframe(1))
            named = _passing[1] != key and _passing[0] != _place(frame)
            if frame is not None and named:
                _note(key, frame)
        return super().__getitem__(key)

    def __iter__(self) -> Any:
        # Who goes over all names, as dict(os.environ) does, names none.
        place = _place(_asker(sys._getframe(1))) if _note is not None else None
        for key in super().__iter__():
            _passing[:] = [place, key]
            yield key

    def __reduce_ex__(self, protocol: Any) -> Any:
        made = super().__reduce_ex__(protocol)
        return (made[0], (PLAIN, *made[1][1:]), *made[2:])


_Environ.__name__ = _Environ.__qualname__ = PLAIN.__name__
_Environ.__module__ = PLAIN.__module__


def _asker(frame: Any) -> Any:
    """The frame that asked, past those of the standard library's mappings."""
    while frame is not None and frame.f_code.co_filename in _BETWEEN:
        frame = frame.f_back
    if frame is not None and frame.f_code.co_name == "expandvars":
        return frame.f_back
    return frame


def _place(frame: Any) -> tuple[int, int] | None:
    return None if frame is None else (id(frame), frame.f_lasti)


def watch(note: Callable[[str, Any], None]) -> None:
    """Call ``note`` with each name that is read, and the frame of the code that reads it."""
    global _note  # noqa: PLW0603 - os.environ is one for the process, and so is this
    if type(os.environ) is PLAIN:  # else somebody has put something of their own there
        os.environ.__class__ = _Environ
        _note = note


def restore() -> None:
    """Make ``os.environ`` what it was."""
    global _note  # noqa: PLW0603 - os.environ is one for the process, and so is this
    _note = None
    if type(os.environ) is _Environ:
        os.environ.__class__ = PLAIN
