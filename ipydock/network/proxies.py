"""The proxies of this host, for what runs here and for builds.

A build gets them as the build arguments that BuildKit and Buildah know beforehand: these are in the
environment of every step, and in neither history, nor cache, nor image.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from .pip import pip_settings

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "NO_PROXY")


def proxies(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that name proxies, as they are set, else what pip's settings say.

    Raises:
        InputError: pip's settings cannot be read.
    """
    environ = os.environ if environ is None else environ
    names = [name for upper in NAMES for name in (upper, upper.lower())]
    found = {name: environ[name] for name in names if environ.get(name)}
    if not any(name.upper() in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in found):
        proxy = pip_settings(environ).get("proxy")
        if proxy:
            url = proxy if "://" in proxy else f"http://{proxy}"
            found |= {"HTTP_PROXY": url, "HTTPS_PROXY": url, "http_proxy": url}
    return found
