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

    In upper and in lower case; empty where there is no proxy.

    Raises:
        InputError: pip's settings cannot be read.
    """
    environ = os.environ if environ is None else environ
    found = {name: environ.get(name) or environ.get(name.lower()) or "" for name in NAMES}
    if not any(found[name] for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")):
        proxy = pip_settings(environ).get("proxy", "")
        url = proxy if "://" in proxy or not proxy else f"http://{proxy}"
        found |= {"HTTP_PROXY": url, "HTTPS_PROXY": url}
    # Some programs read the one form and some the other: apt only the lower one.
    forms = ((form, value) for name, value in found.items() for form in (name, name.lower()))
    return {form: environ.get(form) or value for form, value in forms if value}
