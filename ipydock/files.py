"""Files on this machine: written whole or not at all, and told apart from credentials."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from pathlib import Path

from .layout import COPIED, DATA, NOTEBOOK, PACKAGES, PROJECT, ROOT, SCRIPTS, SDISTS, WHEELS

_CHUNK = 1 << 20
SKIPPED_FOLDERS = frozenset(
    {".git", ".hg", ".svn", ".ipynb_checkpoints", "__pycache__", "node_modules", ".venv", "venv"}
    | {".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache", "site-packages"}
)
# A build context: all that is in it, and the start of its Dockerfile's first line.
CONTEXT_ENTRIES = (
    *("Dockerfile", "requirements.lock", ".dockerignore"),
    *("modules.txt", SDISTS, SCRIPTS, PACKAGES, WHEELS, DATA, PROJECT, ROOT, COPIED, NOTEBOOK),
)
CONTEXT_HEADING = "# What the notebook "

SECRET_NAMES = re.compile(
    r"""
    \.env(\..+)? | .+\.env
    | .+\.(pem|key|p12|pfx|jks|keystore|kdbx|ppk|p8)
    | id_(rsa|dsa|ecdsa|ed25519)(?!\.pub$).*
    | \.?credentials?([._-].*)? | .*[._-]credentials?(\..*)?
    | client[_-]?secrets?.*\.json | service[_-]?account.*\.json | kaggle\.json
    | [._]netrc | \.vault[-_]token | \.terraformrc | \.Renviron | \.Rprofile | \.mylogin\.cnf
    | wallet\.dat | .*\.agekey | \.authinfo(\.gpg)? | application_default_credentials\.json
    | [._]netrc | kubeconfig.* | .*\.kubeconfig | \.pgpass | \.pypirc | \.npmrc | \.htpasswd
    | \.git-credentials | \.dockercfg | \.dockerconfigjson | \.boto
    | \.s3cfg | \.databrickscfg | \.my\.cnf
    | (.*[._-])?(secrets?|passwords?|passwd|(access|auth|api|refresh|bearer|oauth2?|github|secret)
      [._-]?(tokens?|keys?|secrets?))(\.(txt|json|ya?ml|toml|ini|cfg|pkl|pickle|dat|csv))?
    | tokens?(\.(txt|json|ya?ml|pkl|pickle))?
    """,
    re.VERBOSE | re.IGNORECASE,
)
SECRET_FOLDERS = frozenset({".ssh", ".aws", ".gnupg", ".kube", ".azure", ".docker", ".gcloud"})
EXAMPLE_SUFFIXES = (".example", ".sample", ".template", ".dist")


def is_secret(path: str) -> bool:
    """Whether a path (POSIX) is one where credentials are kept, by its name."""
    *folders, name = path.split("/")
    if name.endswith(EXAMPLE_SUFFIXES):
        return False
    return bool(SECRET_NAMES.fullmatch(name)) or not SECRET_FOLDERS.isdisjoint(folders)


def is_context(folder: Path) -> bool:
    """Whether a folder is a build context that ipydock wrote, with nothing else in it."""
    try:
        entries = {entry.name for entry in folder.iterdir() if not entry.is_symlink()}
        if entries != {*CONTEXT_ENTRIES[:3], *(entries & set(CONTEXT_ENTRIES[3:]))}:
            return False
        if any(entry.is_symlink() for entry in folder.iterdir()):
            return False
        with (folder / "Dockerfile").open(encoding="utf-8") as stream:
            return stream.readline().startswith(CONTEXT_HEADING)
    except (OSError, UnicodeDecodeError):
        return False


def sha256(path: Path) -> str:
    """The SHA-256 (hex) of a file, read in pieces."""
    total = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            total.update(chunk)
    return total.hexdigest()


def write_atomic(path: Path, text: str) -> None:
    """Write a text file so that readers see the old or the new content, never a part.

    A link is followed. The mode is that of a new file; nothing is left behind if writing fails.

    Raises:
        OSError: it could not be written.
    """
    target = path.resolve() if path.is_symlink() else path
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.tmp")
    data = text.encode()
    try:
        with temporary.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
