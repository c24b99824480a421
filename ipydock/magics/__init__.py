"""The IPython front end: ``%dockerize`` and ``%%dockerize``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def register(shell: InteractiveShell) -> None:
    """Make the magics known to a shell."""
    from .dockerize import DockerizeMagics

    shell.register_magics(DockerizeMagics)
