"""What is asked of a kernel that the probe was put into: standard library only, as the probe.

A request is ``{"do": "watch"}``, answered ``{"since": n}``; ``{"do": "session", "folder": ...,
"modules": ...}``, answered as by `ipydock.capture.live.session`; or ``{"do": "stop"}``. With
``mark`` it also tries to open that path, which shows in a trace where watching begins and ends, and
the answer has ``ignored``, which says what is to be left out of the trace.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from typing import Any

from . import live, surroundings, watch

MIME = "application/vnd.ipydock.session+json"


class Answer:
    """The answer to a request, shown as JSON text: a kernel shows what it evaluates."""

    def __init__(self, request: str) -> None:
        try:
            self._text = json.dumps(_answer(json.loads(request)))
        except Exception:  # noqa: BLE001 - told to whoever asked, who raises it
            self._text = json.dumps({"failed": traceback.format_exc()})

    def __repr__(self) -> str:
        return self._text

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, str]:
        return {MIME: self._text, "text/plain": ""}


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    do = request.pop("do")
    mark = request.pop("mark", None)
    if do == "watch":
        interactive = getattr(sys.modules.get("IPython"), "get_ipython", None)
        told: dict[str, Any] = {
            "since": watch.start(interactive() if interactive is not None else None)
        }
        _mark(mark)
        return told
    if do == "stop":
        watch.stop()
        return {}
    if do == "session":
        _mark(mark)
        told = live.session(request)
        if mark:
            told["ignored"] = {
                **watch.ignored(),
                "interpreter": surroundings.interpreter_folders(),
            }
        return told
    raise ValueError(do)


def _mark(path: str | None) -> None:
    if path:
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_RDONLY))
