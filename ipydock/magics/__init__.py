"""The IPython front end: ``%dockerize``, ``%%dockerize`` and ``%%dockerfile``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def register(shell: InteractiveShell) -> None:
    """Make the magics known to a shell, and watch from now on what its cells use."""
    from ..capture import watch
    from .dockerfile import DockerfileMagics
    from .dockerize import DockerizeMagics
    from .location import running
    from .manage import register as register_manage

    shell.register_magics(DockerizeMagics, DockerfileMagics)
    register_manage(shell)
    lines = [line.strip() for line in running(shell).splitlines()]
    first = next((line for line in lines if line and not line.startswith("#")), "")
    # So that %dockerize later knows what was used, from here on.
    watch.start(shell, first="load_ext" in first)


def unregister(shell: InteractiveShell) -> None:
    """See nothing more, and let the shell forget the magics."""
    from ..capture import watch
    from .manage import unregister as unregister_manage

    watch.stop()
    unregister_manage(shell)
    manager = shell.magics_manager
    for name in ("dockerize", "dockerfile"):
        for kind in ("line", "cell"):
            manager.magics[kind].pop(name, None)
        manager.registry.pop(f"{name.title()}Magics", None)
