"""The command's entry: the answer to a build that changed nothing, else the command line."""

from __future__ import annotations

import sys

from .unchanged import replay


def main() -> None:
    """Run ``ipydock``."""
    if sys.argv[1:2] == ["build"] and replay(sys.argv[1:]):
        return
    from .cli import main as run

    run()


if __name__ == "__main__":
    main()
