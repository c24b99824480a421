"""What a notebook really uses, by a system-call trace that knows nothing of ipydock.

The notebook runs under ``strace`` by ``jupyter execute`` in the environment that is given; what an
empty notebook uses too is taken off.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

_OPENED = re.compile(r'open(?:at)?\(.*?"(?:[^"\\]|\\.)*", ([A-Z_|0-9]+).*\) = \d+<(/[^>]*)>$')
_STARTED = re.compile(r'execve\("((?:[^"\\]|\\.)*)", .* = 0$')
_FORKED = re.compile(r"(?:clone3?|v?fork)\(.* = (\d+)$")
_SYSTEM = ("/usr/", "/lib", "/etc/", "/proc/", "/sys/", "/dev/", "/var/", "/bin/", "/opt/")
_SHARED = re.compile(r"\.so(\.[0-9.]+)?$")
# Asked of the environment's own Python: which distribution owns a file, what each requires.
_OWNERS = """
import importlib.metadata as m, json, os, re, sys
from packaging.markers import default_environment
from packaging.requirements import Requirement
name = lambda n: re.sub("[-_.]+", "-", n).lower()
files, requires, tops = {}, {}, {}
for d in m.distributions():
    n = name(d.metadata["Name"])
    for f in d.files or ():
        files[os.path.abspath(str(d.locate_file(f)))] = n
        top = str(f).split("/")[0]
        if top.endswith(".py") or "/" in str(f) and not re.search(r"\\.|__", top):
            tops.setdefault(n, set()).add(top.removesuffix(".py"))
    requires[n] = sorted({name(r.name) for r in map(Requirement, d.requires or ())
                          if r.marker is None or r.marker.evaluate({"extra": ""})})
print(json.dumps({"files": files, "requires": requires, "prefix": [sys.prefix, sys.base_prefix],
                  "tops": {n: sorted(t) for n, t in tops.items()}}))
"""


@dataclass
class Used:
    """What one run used; paths are absolute."""

    distributions: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    programs: set[str] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)

    def without(self, other: Used) -> Used:
        """What this one used and the other did not."""
        return Used(
            self.distributions - other.distributions,
            self.files - other.files,
            self.programs - other.programs,
            self.libraries - other.libraries,
        )


class Machine:
    """An environment whose runs are traced; ``home`` keeps caches out of the user's own."""

    def __init__(self, python: Path, scratch: Path) -> None:
        """Read what is installed, and warm the caches that belong to no notebook."""
        self.python = python
        self.home = scratch / "home"
        self.home.mkdir()
        self.env = {**os.environ, "HOME": str(self.home), "PYTHONDONTWRITEBYTECODE": "1"}
        # A notebook that installs something would change what the next one finds.
        self.env |= {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}
        # Only the system's programs: the shims of version managers start dozens of others.
        self.env |= {"PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin", "MPLBACKEND": "agg"}
        self.log = scratch / "strace.log"
        told = json.loads(self._plain("-c", _OWNERS))
        self.files: dict[str, str] = told["files"]
        self.requires: dict[str, list[str]] = told["requires"]
        self.tops: dict[str, list[str]] = told["tops"]
        self.prefixes = tuple(f"{Path(p)}/" for p in told["prefix"])
        self._plain("-c", "import matplotlib.pyplot")  # builds its font cache with fc-list
        empty = scratch / "empty.ipynb"
        cell = {"cell_type": "code", "metadata": {}, "source": "1", "outputs": [], "id": "a"}
        empty.write_text(
            json.dumps(
                {
                    "cells": [{**cell, "execution_count": None}],
                    "metadata": {},
                    "nbformat": 4,
                    "nbformat_minor": 5,
                }
            )
        )
        self.kernel = self._used(self._notebook(empty, 60), empty)
        self._imports: dict[str, set[str]] = {}

    def run(self, notebook: Path, timeout: int) -> Used:
        """What a run of this notebook uses beyond what every notebook does."""
        return self._used(self._notebook(notebook, timeout), notebook).without(self.kernel)

    def closure(self, names: set[str]) -> set[str]:
        """Installed distributions that these require, and they themselves."""
        reached: set[str] = set()
        queue = list(names)
        while queue:
            name = queue.pop()
            if name in self.requires and name not in reached:
                reached.add(name)
                queue += self.requires[name]
        return reached

    def incidental(self, names: set[str], modules: set[str]) -> set[str]:
        """Of these what importing these modules, or another of them, loads without requiring it."""
        found: set[str] = set()
        for name in names:
            tops = [top for top in self.tops.get(name, ()) if top.isidentifier()][:3]
            asked = {m for m in modules if m.partition(".")[0] in tops}
            for module in {*tops, *asked}:
                if module not in self._imports:
                    log = self._trace("-c", f"import {module}")
                    self._imports[module] = self._used(log, Path("-")).distributions
                found |= self._imports[module] - self.closure({name})
        return found & names

    def _plain(self, *words: str) -> str:
        command = [str(self.python), *words]
        done = subprocess.run(command, capture_output=True, text=True, env=self.env, check=True)
        return str(done.stdout)

    def _notebook(self, notebook: Path, timeout: int) -> str:
        words = ["-m", "jupyter", "execute", "--allow-errors", f"--timeout={timeout}"]
        words += ["--kernel_name=python3"]  # many name a python2 that nobody has any more
        return self._trace(*words, notebook.name, folder=notebook.parent)

    def _trace(self, *words: str, folder: Path | None = None) -> str:
        command = ["strace", "-f", "-qq", "-y", "-s", "4096", "--seccomp-bpf"]
        command += ["-e", "trace=open,openat,execve,clone,clone3,fork,vfork"]
        command += ["-e", "status=successful"]
        command += ["-o", str(self.log), str(self.python), *words]
        done = subprocess.run(
            command, capture_output=True, text=True, env=self.env, cwd=folder, check=False
        )
        if done.returncode:
            print(f"  {words[-1]}: {done.stderr.strip()[-300:]}", file=sys.stderr)
        return self.log.read_text(errors="replace")

    def _used(self, log: str, notebook: Path) -> Used:
        used = Used()
        written: set[str] = {str(notebook)}
        others: set[str] = set()  # processes that are no Python: their libraries are their own
        for line in log.splitlines():
            process, _, call = line.partition(" ")
            call = call.lstrip()
            if (started := _STARTED.match(call)) is not None:
                used.programs.add(started[1])
                is_python = str(Path(started[1]).resolve()).startswith(self.prefixes)
                (others.discard if is_python else others.add)(process)
            elif (forked := _FORKED.match(call)) is not None and process in others:
                others.add(forked[1])
            elif (opened := _OPENED.match(call)) is not None:
                own = process not in others or not _SHARED.search(opened[2])
                if own and "O_DIRECTORY" not in opened[1]:
                    self._opened(used, written, opened[2], opened[1])
        return used

    def _opened(self, used: Used, written: set[str], path: str, flags: str) -> None:
        owner = self.files.get(path.replace("/__pycache__", "").replace(".cpython-311.pyc", ".py"))
        owner = owner or self.files.get(path)
        if owner is not None:
            if path.endswith((".py", ".pyc")) or _SHARED.search(path):
                used.distributions.add(owner)
        elif path.startswith(self.prefixes):
            return
        elif _SHARED.search(path):
            used.libraries.add(path)
        elif path.startswith((*_SYSTEM, str(self.home))) or "/jupyter/runtime" in path:
            return
        elif re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC", flags):
            written.add(path)
        elif path not in written and Path(path).is_file():
            used.files.add(path)
