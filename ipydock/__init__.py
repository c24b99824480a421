"""ipydock: containerize a notebook, rerun it in the clean container, compare cell by cell.

Importing this package is cheap: it is imported in kernels. The public names are loaded when they
are first used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .errors import IpydockError
    from .models import Capture, Image, Limits, Recipe, Rerun, Verdict
    from .pipeline import (
        BuildOptions,
        build,
        build_async,
        capture,
        capture_async,
        compare,
        rerun,
        rerun_async,
        save_context,
        synthesize,
    )
    from .recipe.synthesize import Options
    from .settings import options_for
    from .verifying import verify, verify_async

__version__ = "0.1.0"
__all__ = [
    "BuildOptions",
    "Capture",
    "Image",
    "IpydockError",
    "Limits",
    "Options",
    "Recipe",
    "Rerun",
    "Verdict",
    "__version__",
    "build",
    "build_async",
    "capture",
    "capture_async",
    "compare",
    "load_ipython_extension",
    "options_for",
    "rerun",
    "rerun_async",
    "save_context",
    "synthesize",
    "unload_ipython_extension",
    "verify",
    "verify_async",
]

_MODULES = {
    "IpydockError": "errors",
    "Capture": "models",
    "Image": "models",
    "Limits": "models",
    "Recipe": "models",
    "Rerun": "models",
    "Verdict": "models",
    "Options": "recipe.synthesize",
    "options_for": "settings",
    "verify": "verifying",
    "verify_async": "verifying",
}


class _Package(ModuleType):
    """Keeps ``ipydock.capture`` and its like the functions that they are documented to be.

    Python sets each submodule as an attribute of its package when it is imported, which would put
    the folders ``capture`` and ``compare`` and the file ``rerun.py`` over the functions.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_MODULES.get(name, 'pipeline')}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What ``%load_ext ipydock`` calls: makes the magics known."""
    from .magics import register

    register(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """What ``%unload_ext ipydock`` calls: ends the watch and takes the magics away."""
    from .magics import unregister

    unregister(shell)
