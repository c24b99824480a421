"""The Docker SDK, connected to the engine that the docker client talks to."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from ..errors import EngineError
from ..process import ProcessPlan
from .client import executables
from .dial import Dial
from .endpoint import Endpoint

_TIMEOUT = 60  # seconds for an answer of the engine
_FIRST = 15  # seconds for the first one, after which it is taken to be away


class Connection:
    """An engine that answered, and the SDK client for it.

    Raises:
        EngineError: it does not answer.

    ``is_podman``: it is Podman behind Docker's API.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._dial: Dial | None = None
        address = endpoint.address
        if address.startswith("ssh://"):
            self._dial = Dial(_dial_plan(endpoint))
            address = self._dial.address
        try:
            self.sdk, self.is_podman = _client(address, endpoint)
        except BaseException as error:
            said = self._dial.said() if self._dial else ""
            if self._dial:
                self._dial.close()
            if isinstance(error, EngineError) and said:
                error.evidence = said
                # The client wraps what ssh said into an account of how it called it.
                why = said.rpartition("stderr=")[2].splitlines()[-1]
                error.message = f"{error.message.rstrip('.')}: {why[:300]}"
                error.args = (error.message,)
            raise

    def close(self) -> None:
        """Close all its sockets."""
        self.sdk.close()
        if self._dial:
            self._dial.close()

    @contextlib.contextmanager
    def faults(self) -> Iterator[None]:
        """Turn the SDK's and the transport's failures into ours."""
        import docker.errors
        import requests

        try:
            yield
        except (requests.RequestException, docker.errors.APIError) as error:
            said = getattr(error, "explanation", None) or str(error)
            raise EngineError(
                f"The Docker engine at {self.endpoint.address} does not answer as it should: "
                f"{said}",
                hint="Is it running? `ipydock doctor` lists the engines and what each can do.",
            ) from error


def _dial_plan(endpoint: Endpoint) -> ProcessPlan:
    docker = next(executables("docker"), None)
    if docker is None:
        raise EngineError(
            f"There is no docker client on the PATH, which is needed to reach {endpoint.address}.",
            hint="Install the docker client.",
        )
    return ProcessPlan((docker, "system", "dial-stdio"), env=endpoint.environment())


def _client(address: str, endpoint: Endpoint) -> tuple[Any, bool]:
    """An SDK client that speaks the engine's version of the API, and whether that is Podman."""
    import docker
    import docker.errors

    options: dict[str, Any] = {"base_url": address, "tls": _tls(endpoint)}
    try:
        if address.startswith("unix://"):
            # The SDK leaves its socket open where nobody listens.
            with socket.socket(socket.AF_UNIX) as trial:
                trial.settimeout(_FIRST)
                trial.connect(address.removeprefix("unix://"))
        # The SDK asks for the version while it is made, and leaves its socket open if that fails.
        first = docker.APIClient(
            **options, timeout=_FIRST, version=docker.constants.DEFAULT_DOCKER_API_VERSION
        )
        try:
            found = first.version(api_version=False)
        finally:
            first.close()
        parts = [str(part.get("Name", "")) for part in found.get("Components") or ()]
        sdk = docker.DockerClient(**options, timeout=_TIMEOUT, version=found["ApiVersion"])
        return sdk, any("Podman" in part for part in parts)
    except (docker.errors.DockerException, OSError, KeyError) as error:
        raise EngineError(
            f"No Docker engine answers at {endpoint.address} ({endpoint.named_by}).",
            hint="Start Docker (or set DOCKER_HOST), or use --engine venv, which needs none.",
            evidence=str(error),
        ) from error
    except ValueError as error:  # of the SDK, for an `auth` that is not base64
        raise EngineError(
            f"The docker client's settings cannot be read: {error}.",
            hint="Mend config.json in ~/.docker (or DOCKER_CONFIG); `docker login` writes its "
            "`auths` anew.",
        ) from error


def _tls(endpoint: Endpoint) -> Any:
    import docker

    folder = endpoint.certificates
    if folder is None:
        return False
    return docker.tls.TLSConfig(
        client_cert=(str(folder / "cert.pem"), str(folder / "key.pem")),
        ca_cert=str(folder / "ca.pem"),
        verify=endpoint.verify,
    )
