"""What the last lines of a failed build usually mean, and what to do about it.

The patterns were seen where something was made to fail that way, with Docker 20.10 and 26, Podman
4.3, uv 0.13, pip 23, apt 2.6 and git 2.39; tests/unit/test_buildlog.py has texts of them. Five were
not seen and are how these programs are known to say it: "disk quota exceeded", "signal: killed",
"Cannot allocate memory", "has no wheels" and "doesn't have a wheel".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import BaseImageError, BuildError, DiskFull


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a pattern in a build's output means: the error, the words for it and the mend."""

    pattern: re.Pattern[str]
    says: str
    hint: str
    kind: type[BuildError] = BuildError


def meaning(text: str) -> Meaning | None:
    """What the last lines of a build mean, if they hold anything that is known."""
    return next((one for one in _MEANINGS if one.pattern.search(text)), None)


def _seen(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE | re.MULTILINE)


# The first that matches counts. pip says of any trouble that a package was not found: what is said
# of certificates and of the network comes before that.
_MEANINGS = (
    Meaning(
        _seen("no space left on device", "enough free space", "disk quota exceeded"),
        "there is no space left where the engine builds",
        "Free some: `docker system df` shows what takes it, `docker builder prune` removes build "
        "caches (with Podman `podman system df` and `podman system prune`).",
        DiskFull,
    ),
    Meaning(
        _seen(
            r"(load metadata for|resolve source metadata|manifest|initializing source|short-name)"
            r"[^\n]*"
            r"(not found|unknown|denied|failed to do request|unable to|did not resolve|pinging)",
            "manifest unknown",
            "pull access denied",
            "failed to resolve source metadata",
            "failed to do request: head",
        ),
        "the base image does not exist or cannot be reached",
        "Check the name given with --base, the network, and whether the registry wants `docker "
        "login`. --engine venv needs no image.",
        BaseImageError,
    ),
    Meaning(
        _seen(
            "lack of valid authentication",
            "returned a 403",
            r"package index \S+ answers: 40[13]",
            r"status client error \(40[13]",
        ),
        "the package index wants a valid user and password (401 or 403)",
        "Those of pip's and uv's settings, ~/.netrc and keyrings are handed to the build as a "
        "secret; are they still valid? A plain `docker build` needs --secret id=uv,src=FILE.",
    ),
    Meaning(
        _seen("fatal: could not read (Username|Password)", "fatal: Authentication failed for"),
        "a package comes from a Git repository that asks for a password, and a build has none",
        "Clone it and install it from the clone (pip install -e FOLDER): then its source goes "
        "into the context.",
    ),
    Meaning(
        _seen("407 +Proxy", "tunnel error", "Tunnel connection failed"),
        "the proxy does not let the build through; it may want a password (407)",
        "Write HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, or name the index's host in NO_PROXY.",
    ),
    Meaning(
        _seen(
            "UnknownIssuer",
            "invalid peer certificate",
            "CERTIFICATE_VERIFY_FAILED",
            "confirming the ssl certificate",
            "self.signed certi",
            r"certificate (verif|is NOT trusted|problem)",
        ),
        "a certificate was not trusted inside the build",
        "Set SSL_CERT_FILE to your network's CA bundle; ipydock hands it to the build as a secret.",
    ),
    Meaning(
        _seen(
            "dns error",
            r"Temporary failure (in name )?resol",
            "Could not resolve",
            "Failed to establish a new connection",
            "Network is unreachable",
            "Could not connect to",
            "Connection refused",
            "Couldn't connect to server",
            "timed out",
            "deadline has elapsed",
        ),
        "the network cannot be reached from the build",
        "Check the network and proxy of the engine; `ipydock doctor` tells what is reachable.",
    ),
    Meaning(
        _seen("hash mismatch", "DO NOT MATCH THE HASHES"),
        "a downloaded package is not the one that was locked",
        "Run again; if it happens twice, the index serves other files than before.",
    ),
    Meaning(
        _seen("hashes are required", "all requirements must have a hash"),
        "a package is listed without a hash, beside others that have one",
        "Give it one (`uv pip compile --generate-hashes` writes them), or install it in a RUN of "
        "its own.",
    ),
    Meaning(
        _seen(r"Unable to locate package \S+", "has no installation candidate"),
        "a system package has no such name in the base's distribution",
        "Check --add-apt; https://packages.debian.org lists the names.",
    ),
    Meaning(
        _seen(r"E: Version '[^']*' for '[^']*' was not found"),
        "a system package is not there in that version in the base's distribution",
        "Leave its version out of --add-apt: a distribution keeps the newest one only.",
    ),
    Meaning(
        _seen(
            "no wheels with a matching",
            "no usable wheels",
            r"doesn't have a (source distribution or )?wheel",
            "has no wheels",
            "is not a supported wheel on this platform",
        ),
        "a Python package has no wheel for the image's platform and Python",
        "Choose a version that has one with --add-pip 'NAME==VERSION', another Python with --base, "
        "or another --platform.",
    ),
    Meaning(
        _seen("was not found in the package registry", r"\(from versions: none\)"),
        "a Python package is not in the package index",
        "Check its name, and that the index it comes from is set for the build.",
    ),
    Meaning(
        _seen("there is no version of ", "No matching distribution found"),
        "a Python package is not there in that version",
        "Choose one that is with --add-pip 'NAME==VERSION'; it may be made for another Python.",
    ),
    Meaning(
        _seen(
            "Failed to build",
            r"command '[^']*(gcc|cc|g\+\+)' failed",
            r"No such file or directory: '(gcc|cc|g\+\+|c\+\+|make|cmake|rustc|cargo|gfortran)'",
            "Build failures usually indicate",
        ),
        "a Python package has no wheel for this platform and cannot be compiled in the image",
        "Choose a version that has a wheel with --add-pip 'NAME==VERSION', or add its compiler "
        "or the headers of what it needs (a -dev package) with --add-apt.",
    ),
    Meaning(
        _seen(r"exit (code|status):? 137", "signal: killed", "Cannot allocate memory"),
        "a step was killed, most often because the engine had no memory left",
        "Give the engine more memory (in Docker Desktop under Settings, Resources) or end what "
        "else runs there.",
    ),
    Meaning(
        _seen(
            r'"/[^"]*" not found',
            "failed to compute cache key",
            r"copier: stat: .*no such file or directory",
        ),
        "a file that a COPY names is not in the build's folder",
        "Take it in with --include, or mend the COPY.",
    ),
    Meaning(
        _seen(r"exit (code|status):? 127"),
        "a command is not there in the image",
        "Add the system package that brings it with --add-apt.",
    ),
    Meaning(
        _seen("dockerfile parse error", "unknown instruction", "Unknown flag"),
        "the builder does not understand the Dockerfile",
        "Check what %%dockerfile cells say; `ipydock doctor` tells what the builder can do.",
    ),
    Meaning(
        _seen(r"client version [\d.]+ is too old"),
        "the docker client is too old for the engine",
        "Upgrade the docker client, or put a newer one first on the PATH.",
    ),
)
