"""What a step mounts, made part of the step, so that Buildah's cache tells one from another.

Buildah 1.28 takes a step from its cache by its text alone. A step that mounts a file of the context
or another stage has the same text whatever is in there, and so would the image of one notebook get
the packages of another. BuildKit looks at what is mounted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

# A RUN with mounts, up to the end of its last line.
_RUN = re.compile(r"^RUN[ \t]+--mount=(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_MOUNT = re.compile(r"--mount=(\S+)")


def keyed(dockerfile: str, context: Path, images: Mapping[str, str]) -> str:
    """A Dockerfile whose steps name the digest of what they mount.

    Args:
        dockerfile: its text.
        context: the folder that files are mounted from.
        images: the images of stages that are built already, by name.
    """

    def named(match: re.Match[str]) -> str:
        text = match[0]
        parts = [
            part
            for mount in _MOUNT.findall(text)
            for part in _of(dict(_fields(mount)), context, images)
        ]
        # A list of words (the exec form) has no room for it.
        if not parts or text.rstrip().endswith("]") or "<<" in text:
            return text
        key = hashlib.sha256("\n".join(parts).encode()).hexdigest()
        return f"{text} && : {key}"

    return _RUN.sub(named, dockerfile)


def _fields(mount: str) -> Iterator[tuple[str, str]]:
    for field in mount.split(","):
        name, _, value = field.partition("=")
        yield {"src": "source"}.get(name, name), value


def _of(fields: Mapping[str, str], context: Path, images: Mapping[str, str]) -> Iterator[str]:
    """What a mount holds, as texts; nothing for caches and secrets."""
    if fields.get("type", "bind") != "bind":
        return
    if stage := fields.get("from"):
        yield f"{stage} {images.get(stage, '')}"
        return
    top = context / fields.get("source", "").lstrip("/")
    for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            yield f"{path.relative_to(context).as_posix()} {digest}"
