"""What this host has that a build or a resolver must know: its certificate authorities."""

from __future__ import annotations

import os
from pathlib import Path

from .network.pip import pip_settings

_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# Where distributions keep the bundle; the list of Go's crypto/x509 (root_linux.go), and Homebrew's.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/opt/homebrew/etc/ca-certificates/cert.pem",
)


def ca_bundle() -> Path | None:
    """The file of the certificate authorities that this host trusts, None if there is none.

    Where TLS is intercepted (most company networks) it holds the interceptor's authority, without
    which nothing can be downloaded in a build.

    Raises:
        InputError: pip's settings, which may name it, cannot be read.
    """
    named = [os.environ.get(name) for name in _VARIABLES]
    for candidate in (*filter(None, (*named, pip_settings().get("cert"))), *_BUNDLES):
        path = Path(candidate)
        if path.is_file():
            return path.resolve()
    return None


def ca_environment() -> dict[str, str]:
    """Our environment, with uv told to trust what this host trusts."""
    bundle = ca_bundle()
    return {**os.environ, **({"SSL_CERT_FILE": str(bundle)} if bundle else {})}


def cache_folder() -> Path:
    """Where ipydock keeps what it can make again: logs, pins, environments of the venv engine.

    ``IPYDOCK_CACHE_DIR`` moves it.
    """
    import platformdirs

    named = os.environ.get("IPYDOCK_CACHE_DIR")
    return Path(named) if named else Path(platformdirs.user_cache_dir("ipydock", appauthor=False))
