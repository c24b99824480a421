"""Where the bed lives, the lock around it, and what it remembers between runs."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

MARKER = ".ipydock-bed"
PARTS = ("newer", "containerd", "second")  # further Docker engines: newer.py, second.py
# sun_path holds 108 bytes with the closing zero; this is the longest socket below `run`.
SOCKET_LIMIT = 107
LONGEST_SOCKET = "exec/containerd/containerd-debug.sock.ttrpc"
_START = time.monotonic()


class BedError(Exception):
    """What failed, the evidence for it and what to do, shown as one paragraph."""

    def __init__(self, what: str, *, evidence: str = "", mend: str = "") -> None:
        parts = [what.strip(), evidence.strip(), f"What to do: {mend.strip()}" if mend else ""]
        super().__init__("\n".join(part for part in parts if part))


def say(line: str) -> None:
    """One calm line of progress, on standard error with the seconds since the start."""
    sys.stderr.write(f"bed {time.monotonic() - _START:5.1f}s  {line}\n")
    sys.stderr.flush()


@dataclass(frozen=True)
class Bed:
    """The folders and names of one bed; two beds at different places share nothing."""

    name: str
    bridge: str
    data: Path
    run: Path
    # A bed at a chosen place is always private: it never borrows an engine that is there already.
    private: bool = False
    # A folder whose programs are used instead of the system's, see newer.py.
    programs: Path | None = None

    @classmethod
    def find(cls, environ: Mapping[str, str], uid: int) -> Bed:
        """The bed that the environment asks for: `IPYDOCK_BED`, else the place for this user.

        Raises BedError when sockets below that place would have names that are too long.
        """
        if chosen := environ.get("IPYDOCK_BED"):
            root = Path(chosen).absolute()
            tag = hashlib.sha256(os.fsencode(root)).hexdigest()[:4]
            bed = cls(f"ipydock-bed-{tag}", f"ipydock-{tag}", root / "data", root / "run", True)
        elif uid == 0:
            name = "ipydock-bed"
            bed = cls(name, "ipydock0", Path("/var/lib", name), Path("/run", name))
        else:
            name = f"ipydock-bed-{uid}"
            root = Path(environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / name
            bed = cls(name, "", root / "data", root / "run")
        bed.check()
        return bed

    def check(self) -> None:
        """Raises BedError when sockets below `run` would have names that are too long."""
        if (length := len(os.fsencode(self.run / LONGEST_SOCKET))) > SOCKET_LIMIT:
            raise BedError(
                f"{self.run} is too long a name for a place that holds sockets.",
                evidence=f"{LONGEST_SOCKET} below it is {length} bytes; {SOCKET_LIMIT} may be.",
                mend="set IPYDOCK_BED to a folder with a shorter name.",
            )

    def part(self, kind: str, programs: Path | None = None) -> Bed:
        """A further engine in folders of this bed, gone with it; kinds differ in their letter."""
        return replace(
            self,
            name=f"{self.name}-{kind}",
            bridge=f"{self.bridge}{kind[0]}",
            data=self.data / "parts" / kind,
            run=self.run / kind,
            private=True,
            programs=programs,
        )

    @property
    def socket(self) -> Path:
        """The socket of the private Docker daemon."""
        return self.run / "docker.sock"

    @property
    def docker_host(self) -> str:
        """The private daemon's address, as DOCKER_HOST wants it."""
        return f"unix://{self.socket}"

    @property
    def logs(self) -> Path:
        """The folder of the daemons' logs."""
        return self.data / "log"

    @property
    def folders(self) -> tuple[Path, Path]:
        """Both folders that the bed owns."""
        return self.data, self.run

    def claim(self) -> None:
        """Makes the folders, each with a mark that it is ours; refuses a folder of someone else."""
        for folder in self.folders:
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            if not (folder / MARKER).exists() and any(folder.iterdir()):
                raise BedError(
                    f"{folder} is not empty and was not made by this bed, so it is left alone.",
                    mend="move it away, or set IPYDOCK_BED to a folder that may be used.",
                )
            (folder / MARKER).touch()
        self.logs.mkdir(exist_ok=True)

    @property
    def root(self) -> Path | None:
        """The folder that holds both folders, if it is the bed's own."""
        return self.run.parent if self.run.parent == self.data.parent else None

    @contextlib.contextmanager
    def lock(self) -> Iterator[Path]:
        """Holds the bed's lock; waits for whoever has it. The body may delete the lock's file."""
        # Beside the folders and not in them: `down` deletes those while it holds the lock.
        beside = self.root or self.run
        path = beside.with_name(f"{beside.name}.lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with path.open("w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    say(f"waiting for another run that holds {path}")
                    fcntl.flock(file, fcntl.LOCK_EX)
                # The holder before us may have deleted the file: then this lock guards nothing.
                if _is_at(path, file.fileno()):
                    yield path
                    return


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


@dataclass
class State:
    """What must be known of a bed that is up, in order to use it again and to take it down."""

    kind: str = ""  # "docker" or "podman"
    port: int = 0  # of the registry
    subnet: str = ""
    proven: bool = False  # that the daemon pulls and runs containers
    # The host's network and files before the daemon changed them, see network.py and daemon.py.
    before: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, bed: Bed) -> State:
        """The state of this bed; an empty one where there is none or it is damaged."""
        try:
            return cls(**json.loads((bed.run / "bed.json").read_text()))
        except (OSError, ValueError, TypeError):
            return cls()

    def save(self, bed: Bed) -> None:
        """Writes the state in one step."""
        write_json(bed.run / "bed.json", vars(self))


def write_json(path: Path, value: object) -> None:
    """Writes JSON so that a reader sees the old file or the new one, never a part."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(value, indent=1) + "\n")
    part.replace(path)
