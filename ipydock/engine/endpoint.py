"""Which Docker engine is meant: DOCKER_HOST, else a context, else the socket of this machine.

The order and the files are those of the docker client (docker/cli, cli/command/cli.go and
cli/context/store), so that the client and the SDK always talk to the same engine.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import EngineError

_DEFAULT = "npipe:////./pipe/docker_engine" if os.name == "nt" else "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of an engine, and who named it.

    ``context`` is the docker context that names it, empty if none does; ``certificates`` is the
    folder of ``ca.pem``, ``cert.pem`` and ``key.pem`` to reach it with, if there is one.
    """

    address: str
    named_by: str
    context: str = ""
    certificates: Path | None = None
    verify: bool = True

    @property
    def builder(self) -> str:
        """The name that buildx gives to the engine's own builder."""
        return self.context or "default"

    @property
    def elsewhere(self) -> bool:
        """Whether its address is that of another machine, as far as an address can tell."""
        parts = urlsplit(self.address)
        if parts.scheme in ("unix", "npipe", ""):
            return False
        try:
            return not ipaddress.ip_address(parts.hostname or "").is_loopback
        except ValueError:
            return parts.hostname != "localhost"

    def environment(self) -> dict[str, str]:
        """What a docker client is started with, so that it talks to this engine and no other."""
        env = {k: v for k, v in os.environ.items() if k not in ("DOCKER_HOST", "DOCKER_CONTEXT")}
        # By its name and not its address: the client finds the context's certificates by it.
        named = {"DOCKER_CONTEXT": self.context} if self.context else {"DOCKER_HOST": self.address}
        return {**env, **named}


def find(environ: Mapping[str, str] | None = None) -> Endpoint:
    """The engine that the environment and the docker client's settings name.

    Raises:
        EngineError: they name a context that is not there.
    """
    environ = os.environ if environ is None else environ
    if host := environ.get("DOCKER_HOST"):
        return Endpoint(host, "DOCKER_HOST", "", *_certificates(environ))
    folder = Path(environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name, named_by = environ.get("DOCKER_CONTEXT"), "DOCKER_CONTEXT"
    if not name:
        name, named_by = str(_json(folder / "config.json").get("currentContext", "")), "in use"
    if name in ("", "default"):
        return Endpoint(_DEFAULT, "the default")
    key = hashlib.sha256(name.encode()).hexdigest()
    kept = _json(folder / "contexts" / "meta" / key / "meta.json")
    docker = kept.get("Endpoints", {}).get("docker", {})
    if not docker.get("Host"):
        raise EngineError(
            f"The docker context {name!r} ({named_by}) does not exist or names no engine.",
            hint="`docker context ls` lists them; `docker context use default` goes back.",
        )
    tls = folder / "contexts" / "tls" / key / "docker"
    return Endpoint(
        str(docker["Host"]),
        f"the docker context {name!r}",
        name,
        tls if tls.is_dir() else None,
        not docker.get("SkipTLSVerify", False),
    )


def _certificates(environ: Mapping[str, str]) -> tuple[Path | None, bool]:
    """The folder that ``DOCKER_CERT_PATH`` and ``DOCKER_TLS_VERIFY`` mean, as the client does."""
    folder, verify = environ.get("DOCKER_CERT_PATH"), bool(environ.get("DOCKER_TLS_VERIFY"))
    if not folder and not verify:
        return None, True
    return Path(folder or Path.home() / ".docker"), verify


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EngineError(
            f"{path} cannot be read: {error}",
            hint="It is a file of the docker client: mend it or move it away.",
        ) from error
    return found if isinstance(found, dict) else {}
