"""A Jupyter kernel in a container: the provisioner and the wire between host and container.

    nbclient, JupyterLab  --ZeroMQ on loopback--  wire  --pipes--  container: relay  --ipc--  kernel

`manager` is the door for callers; `RELAY_COMMAND` is what runs in the image.
"""

from __future__ import annotations

from pathlib import Path

# `python -c` puts the current folder first on the path, and a `json.py` beside the notebook is not
# the library: the folder goes before the relay imports anything.
_START = "import sys; sys.path[:] = filter(None, sys.path); exec(sys.argv[1])"

RELAY_COMMAND: tuple[str, ...] = (
    "python3",  # not every image has a "python"
    "-u",
    "-c",
    _START,
    Path(__file__).with_name("relay.py").read_text(encoding="utf-8"),
)
"""What a kernel's container runs: its own Python with the source of the relay as an argument."""
