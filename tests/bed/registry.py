"""Images into the bed's registry, by the distribution protocol and with the standard library."""

from __future__ import annotations

import datetime
import hashlib
import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .debian import EPOCH
from .layers import Layer
from .state import BedError

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Registry:
    """The registry at a loopback port."""

    port: int

    def digest(self, repository: str, tag: str) -> str:
        """The digest that a tag has there; empty when it has none."""
        status, headers, _ = self._ask("HEAD", f"/v2/{repository}/manifests/{tag}", Accept=_INDEX)
        return headers.get("docker-content-digest", "") if status == 200 else ""

    def push(
        self,
        repository: str,
        tag: str,
        layers: Sequence[Layer],
        config: Mapping[str, object],
        architecture: str,
    ) -> str:
        """Puts an image there, as an index of one platform, and returns the index's digest.

        The official images are such indexes too, so that digests mean the same here as there.
        """
        for layer in layers:
            self._put_file(repository, layer)
        image = image_config(layers, config, architecture)
        self._put_bytes(repository, image)
        manifest = encode(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": descriptor(_CONFIG, image),
                "layers": [
                    {"mediaType": _LAYER, "digest": layer.digest, "size": layer.size}
                    for layer in layers
                ],
            }
        )
        self._put_manifest(repository, digest_of(manifest), _MANIFEST, manifest)
        platform = {"architecture": architecture, "os": "linux"}
        index = encode(
            {
                "schemaVersion": 2,
                "mediaType": _INDEX,
                "manifests": [{**descriptor(_MANIFEST, manifest), "platform": platform}],
            }
        )
        self._put_manifest(repository, tag, _INDEX, index)
        return digest_of(index)

    def _put_file(self, repository: str, layer: Layer) -> None:
        if not self._has(repository, layer.digest):
            with layer.path.open("rb") as file:
                self._upload(repository, layer.digest, file, layer.size)

    def _put_bytes(self, repository: str, content: bytes) -> None:
        if not self._has(repository, digest_of(content)):
            self._upload(repository, digest_of(content), content, len(content))

    def _has(self, repository: str, digest: str) -> bool:
        return self._ask("HEAD", f"/v2/{repository}/blobs/{digest}")[0] == 200

    def _upload(self, repository: str, digest: str, body: Any, size: int) -> None:
        status, headers, answer = self._ask("POST", f"/v2/{repository}/blobs/uploads/")
        _expect(status, 202, answer)
        place = urlsplit(headers["location"])
        target = f"{place.path}?{place.query}&digest={digest}"
        status, _, answer = self._ask(
            "PUT",
            target,
            body,
            **{"Content-Length": str(size), "Content-Type": "application/octet-stream"},
        )
        _expect(status, 201, answer)

    def _put_manifest(self, repository: str, name: str, kind: str, content: bytes) -> None:
        path = f"/v2/{repository}/manifests/{name}"
        status, _, answer = self._ask("PUT", path, content, **{"Content-Type": kind})
        _expect(status, 201, answer)

    def _ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return response.status, names, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise BedError(
                f"The registry at 127.0.0.1:{self.port} broke off at {method} {path}: {error}",
                mend="look into registry.log beside the bed's data, and at the room on the disk.",
            ) from error
        finally:
            connection.close()


def image_config(layers: Sequence[Layer], config: Mapping[str, object], architecture: str) -> bytes:
    """The image's configuration, with one line of history for each layer."""
    created = datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc)
    stamp = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    return encode(
        {
            "created": stamp,
            "architecture": architecture,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created": stamp, "created_by": layer.history} for layer in layers],
        }
    )


def encode(value: object) -> bytes:
    """JSON as bytes, the same for the same value."""
    return json.dumps(value, indent=1, sort_keys=True).encode()


def digest_of(content: bytes) -> str:
    """The digest under which a registry keeps the content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(kind: str, content: bytes) -> dict[str, object]:
    """How a manifest refers to content."""
    return {"mediaType": kind, "digest": digest_of(content), "size": len(content)}


def file_digest(paths: Sequence[Path], *words: str) -> str:
    """One digest over files and words."""
    total = hashlib.sha256()
    for part in (*(path.read_bytes() for path in paths), *(word.encode() for word in words)):
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def _expect(status: int, wanted: int, answer: bytes) -> None:
    if status != wanted:
        raise BedError(
            f"The registry answered {status} where {wanted} was due.",
            evidence=answer[:500].decode(errors="replace"),
            mend="look into registry.log beside the bed's data, and at the room on the disk.",
        )
