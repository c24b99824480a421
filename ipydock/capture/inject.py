"""The probe put into a kernel whose environment does not have ipydock.

`expression` gives a Python expression to evaluate in the kernel, silently, as a user expression of
an ``execute_request``; `answer` reads the reply. The probe's modules come along as compressed
source; they stay in the kernel's memory under names of their own, so that a second expression is
answered at once, and leave nothing in the user's namespace.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import RerunError

MIME = "application/vnd.ipydock.session+json"
# In the order in which they import each other.
MODULES = (
    *("metadata", "probe", "ignored", "environ", "surroundings", "arguments", "watch", "live"),
    "inside",
)
# `exec` and the like are taken from builtins, since a notebook may have variables of these names;
# what is defined lives in a dictionary of its own.
EXPRESSION = (
    "(lambda space: (__import__('builtins').exec(__import__('zlib').decompress("
    "__import__('base64').b85decode({code!r})), space), space['answer'])[1])"
    "({{'request': {request!r}}})"
)
LOADER = """\
import builtins, sys, types

def load(package, sources):
    found = sys.modules.get(package)
    if found is None:
        found = types.ModuleType(package)
        found.__path__ = []
        sys.modules[package] = found
        try:
            for name, source in sources:
                module = types.ModuleType(package + "." + name)
                module.__package__ = package
                sys.modules[module.__name__] = module
                code = compile(source, "<ipydock " + name + ">", "exec", dont_inherit=True)
                builtins.exec(code, module.__dict__)
                builtins.setattr(found, name, module)
        except BaseException:
            for name in [n for n in sys.modules if n == package or n.startswith(package + ".")]:
                del sys.modules[name]
            raise
    return found

answer = load({package!r}, {sources!r}).inside.Answer(request)
"""


def expression(request: Mapping[str, Any]) -> str:
    """An expression that answers a request (`ipydock.capture.inside`) in a Python from 3.8 on.

    For ``user_expressions`` of an ``execute_request`` that is ``silent`` and has
    ``store_history`` off. It is about 27 kB long.
    """
    return EXPRESSION.format(code=_code(), request=json.dumps(request))


def answer(value: Mapping[str, Any]) -> dict[str, Any]:
    """The answer from what the kernel made of the expression: an entry of ``user_expressions``.

    Raises:
        RerunError: the probe failed there.
    """
    if value.get("status") != "ok":
        raise RerunError(
            f"The kernel could not be asked: {value.get('ename')}: {value.get('evalue')}",
            hint="The kernel must be IPython on Python 3.8 or newer.",
            evidence="\n".join(map(str, value.get("traceback") or ())),
        )
    data = value["data"]
    told = json.loads(data.get(MIME) or data["text/plain"])
    if not isinstance(told, dict) or "failed" in told:
        reason = told["failed"] if isinstance(told, dict) else "no answer"
        raise RerunError(
            f"The probe failed in the kernel: {str(reason).splitlines()[-1]}",
            hint="Please report it as a defect of ipydock, with what -v shows.",
            evidence=str(reason),
        )
    return told


@functools.cache
def _code() -> str:
    sources = [
        (name, (Path(__file__).parent / f"{name}.py").read_text("utf-8")) for name in MODULES
    ]
    version = hashlib.sha256(json.dumps(sources).encode()).hexdigest()[:12]
    # Another version of ipydock brings modules of its own; the watch that is in goes on.
    loader = LOADER.format(package=f"_ipydock_{version}", sources=sources)
    return base64.b85encode(zlib.compress(loader.encode(), 9)).decode()
