"""What uv says when it cannot lock, in our words, with the mend."""

from __future__ import annotations

import re

from ..credentials import hidden
from ..errors import LockError
from ..network.indexes import Indexes

_HOST = re.compile(r"https?://([^/\s)]+)")

# Where an index cannot be asked: what uv says of it, what that means, and the mend; the first that
# fits. What is not there because the index refused to tell comes with a hint of uv's.
_AWAY: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), says, hint)
    for pattern, says, hint in (
        (
            r"not found in the package registry.*hint: An index.*\((401|403)? ?Unauthorized\)"
            r"|not found in the package registry.*hint: An index.*403 Forbidden"
            r"|status client error \((401|403) ",
            "The package index{host} wants a valid user and password (401 or 403)",
            "Give them in the index's URL, in ~/.netrc, with `uv auth login`, or in a keyring.",
        ),
        (
            r"407 Proxy|tunnel error",
            "The proxy does not let the package index{host} be asked; it may want a password (407)",
            "Write HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, or name the index's host in "
            "NO_PROXY.",
        ),
        (
            r"UnknownIssuer|certificate",
            "The certificate of the package index{host} is not trusted",
            "Set SSL_CERT_FILE to your network's bundle of authorities.",
        ),
        (
            r"dns error",
            "The host of the package index{host} is not known here",
            "Check its name (index-url of pip.conf or uv.toml, UV_DEFAULT_INDEX), the network, and "
            "whether a proxy is needed (HTTPS_PROXY); `ipydock doctor` tells what is reachable.",
        ),
        (
            r"connect|timed out|status server error",
            "The package index{host} cannot be reached",
            "Check the network, proxy (HTTPS_PROXY) and index (UV_DEFAULT_INDEX); "
            "`ipydock doctor` tells what is reachable.",
        ),
    )
)
_ELSEWHERE = re.compile(r"`(\S+)` was found on (\S+), but not at the requested version \((\S+?)\)")


def explain(stderr: str, known: Indexes) -> LockError:
    """The error for what uv said; ``unreachable`` if the indexes could not be asked."""
    stderr = hidden(stderr)
    said = " ".join(stderr.split())
    for pattern, says, hint in _AWAY:
        found = pattern.search(said)
        if found and ("unsatisfiable" not in said or "not found in" in found[0]):
            host = _HOST.search(said)
            where = f" at {host[1]}" if host else ""
            error = LockError(f"{says.format(host=where)}.", hint=hint, evidence=stderr)
            error.unreachable = True
            return error
    if other := _ELSEWHERE.search(said):
        name, index, wanted = other.groups()
        return LockError(
            f"{index} has {name}, but not {wanted}; other indexes are not asked for a name that "
            "one has, as what they have under it may be a stranger's.",
            hint=f"Choose a version that is there with --add-pip '{name}==VERSION', or set "
            "UV_INDEX_STRATEGY=unsafe-best-match if you trust all of your indexes alike.",
            evidence=stderr,
        )
    cause = said.removeprefix("error: No solution found when resolving dependencies cause: ")
    hint = (
        "Set the version with --add-pip 'NAME==VERSION', or capture another environment with "
        "--python."
    )
    if known.folders:
        hint += (
            " Nothing is taken from folders of this machine that pip or uv is told of "
            f"({', '.join(known.folders[:3])}), as a build does not reach them."
        )
    return LockError(
        f"No set of packages satisfies what the notebook needs: {cause[:500]}",
        hint=hint,
        evidence=stderr,
    )
