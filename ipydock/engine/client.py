"""The command-line client of an engine: found by what it can do, not by its name or version."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .. import __version__
from ..files import write_atomic
from ..hosts import cache_folder
from ..process import Completed, ProcessPlan, run

# BuildKit adds a signed statement on each build to the image, which makes an index of it and its
# digest another one at every build. Clients that add none do not know the variable.
_NO_ATTESTATIONS = ("BUILDX_NO_DEFAULT_ATTESTATIONS", "1")
# Where docker's client looks for plug-ins, besides its settings.
_PLUGINS = (
    *("/usr/local/lib/docker", "/usr/local/libexec/docker", "/usr/lib/docker"),
    "/usr/libexec/docker",
)
_RELEVANT = ("DOCKER_", "BUILDX_", "PATH", "HOME")  # what a client's answers depend on


@dataclass(frozen=True, slots=True)
class BuildClient:
    """A docker client that can build with BuildKit: the words before a build's options.

    ``driver`` is where buildx builds: ``docker`` is the engine itself; others (a container, a
    remote BuildKit, Kubernetes) build elsewhere and hand the image over. It is empty for a classic
    client, which builds in the engine. ``platforms`` are those that the builder says it can build
    for, empty if it does not say.
    """

    words: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    version: str
    driver: str = ""
    builder: str = ""
    platforms: tuple[str, ...] = ()

    @property
    def in_engine(self) -> bool:
        """Whether it builds in the engine itself."""
        return self.driver in ("", "docker")

    @property
    def says(self) -> str:
        """What it is, in words."""
        if not self.driver:
            return f"{self.words[0]} with DOCKER_BUILDKIT=1 ({self.version})"
        where = "in the engine" if self.in_engine else f"by the {self.driver} builder"
        return f"{self.words[0]} buildx {where} {self.builder!r} ({self.version})"


@dataclass(frozen=True, slots=True)
class Probed:
    """The client to build with, if there is one, and what was wrong with those before it."""

    client: BuildClient | None
    said: tuple[str, ...] = ()


def executables(name: str) -> Iterator[str]:
    """Every program of that name on the PATH, in its order."""
    seen = set()
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(name, path=folder) if folder else None
        if found and (real := Path(found).resolve()) not in seen:
            seen.add(real)
            yield found


def build_client(environ: Mapping[str, str] | None = None) -> BuildClient | None:
    """The first docker client on the PATH that can drive BuildKit."""
    return probe(environ).client


def probe(environ: Mapping[str, str] | None = None) -> Probed:
    """Ask every docker client on the PATH what it can do, until one can build with BuildKit.

    The answers are kept as long as the clients and their settings are the same files: asking starts
    three programs, which takes longer than many a build.

    Args:
        environ: what the clients are started with, which says which engine they talk to.
    """
    return _known(_relevant(environ))


def asked(environ: Mapping[str, str] | None = None) -> Probed:
    """`probe`, whatever was answered before."""
    return _probe(_relevant(environ))


def _relevant(environ: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    given = os.environ if environ is None else environ
    return tuple(sorted((k, v) for k, v in given.items() if k.startswith(_RELEVANT)))


@cache
def _known(relevant: tuple[tuple[str, str], ...]) -> Probed:
    note = cache_folder() / "clients.json"
    hangs_on = _hangs_on(relevant)
    try:
        kept = json.loads(note.read_text(encoding="utf-8"))
        if kept["hangs_on"] == hangs_on:
            return Probed(BuildClient(**_tuples(kept["client"])), tuple(kept["said"]))
    except (OSError, ValueError, KeyError, TypeError):  # none yet, cut short, or another version's
        pass
    found = _probe(relevant)
    # A builder of its own may be gone tomorrow; a client that builds in the engine is only files.
    if found.client is not None and found.client.in_engine:
        document = {"hangs_on": hangs_on, "client": asdict(found.client), "said": found.said}
        with contextlib.suppress(OSError):  # then the next command asks again
            note.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(note, json.dumps(document))
    return found


def _tuples(value: Any) -> Any:
    """A value from JSON with tuples for lists."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _hangs_on(relevant: tuple[tuple[str, str], ...]) -> str:
    """A digest of what clients' answers depend on: variables, programs, plug-ins and settings."""
    settings = Path(dict(relevant).get("DOCKER_CONFIG") or Path.home() / ".docker")
    paths = [*map(Path, executables("docker")), *(Path(f) / "cli-plugins" for f in _PLUGINS)]
    paths += [settings / n for n in ("config.json", "cli-plugins", "contexts/meta", "buildx")]
    paths += [settings / "buildx" / name for name in ("current", "instances", "defaults")]
    seen: list[Any] = [__version__, relevant]
    for path in paths:
        try:
            status = path.stat()
            seen.append([str(path), status.st_mtime_ns, status.st_size, status.st_ino])
        except OSError:
            seen.append([str(path)])
    # Not as it is: variables can hold passwords.
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def _probe(relevant: tuple[tuple[str, str], ...]) -> Probed:
    environ = {**os.environ, **dict(relevant)}
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        if name not in dict(relevant):
            environ.pop(name, None)
    said: list[str] = []
    for docker in executables("docker"):
        found = _buildx(docker, environ)
        if found is None:
            said.append(f"{docker} has no buildx plug-in.")
            found = _classic(docker, environ)
        if isinstance(found, BuildClient):
            return Probed(found, tuple(said))
        said.append(found)
    return Probed(None, tuple(said) or ("There is no docker client on the PATH.",))


def _buildx(docker: str, environ: Mapping[str, str]) -> BuildClient | str | None:
    """The client with buildx, if its current builder works; else what is wrong, in a sentence.

    None if it has no buildx: where it has, `docker build` is the same and would fail alike.
    """
    done = _ask(environ, docker, "buildx", "inspect")
    text = done.stdout if done else ""
    fields = builder_fields(text)
    driver, builder = fields.get("driver", ""), fields.get("name", "")
    if done is None or done.returncode or not driver:
        if _ask(environ, docker, "buildx", "version", well=True) is None:
            return None
        said = last_line(done.stderr + "\n" + done.stdout) if done else "it did not answer"
        return f"The current builder of {docker} buildx cannot be used: {said}"
    if trouble := fields.get("error", ""):
        return f"The builder {builder!r} of {docker} buildx does not answer: {trouble}"
    return BuildClient(
        # The engine's own builder keeps what it builds; others send it over when asked.
        (docker, "buildx", "build", *(() if driver == "docker" else ("--load",))),
        (_NO_ATTESTATIONS,),
        f"BuildKit {fields.get('buildkit version') or fields.get('buildkit', 'not started')}",
        driver,
        builder,
        tuple(p.strip().rstrip("*") for p in fields.get("platforms", "").split(",") if p.strip()),
    )


def _classic(docker: str, environ: Mapping[str, str]) -> BuildClient | str:
    """The client if it speaks BuildKit itself: then it has a build option for secrets."""
    switch = ("DOCKER_BUILDKIT", "1")
    done = _ask({**environ, switch[0]: switch[1]}, docker, "build", "--help", well=True)
    if done is None or not re.search(r"^\s+--secret\b", done.stdout, re.MULTILINE):
        return f"{docker} does not speak BuildKit by itself."
    version = _ask(environ, docker, "--version", well=True)
    words = version.stdout.strip() if version else ""
    return BuildClient((docker, "build"), (switch,), words)


def builder_fields(text: str) -> dict[str, str]:
    """The fields of `docker buildx inspect`, in lower case; of several nodes the first one's.

    Those of the builder itself come before the list of its nodes, with the same name for two.
    """
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon and value.strip():
            fields.setdefault(name.strip().lower(), value.strip())
    return fields


def _ask(environ: Mapping[str, str], *argv: str, well: bool = False) -> Completed | None:
    """What a client answers; None if it does not, with ``well`` also if it ends with an error."""
    try:
        done = run(ProcessPlan(argv, env=environ), timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if well and done.returncode:
        return None
    return done


def last_line(text: str) -> str:
    """The last line of what a program said that is not empty, which mostly says what was wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no message"
