"""Versions that an index of their own has, such as ``2.4.0+cpu``: taken from there by their URL.

Such an index has old copies of many other packages, too. So it is not asked for anything else, and
the build does not need to know it: the lock names the file, with its hash.
"""

from __future__ import annotations

from collections.abc import Callable

from packaging.utils import canonicalize_name

from ..errors import LockError
from ..models import Capture, Download
from .wanted import Wanted


def place(wanted: Wanted, capture: Capture, find: Callable[[str, str], Download | None]) -> None:
    """Let what came from an index of its own be taken from there.

    Where that index does not have it, or cannot be reached, it is looked up as all else is.

    Args:
        wanted: what is changed; what the user asked for by name is not.
        capture: says which index a distribution came from.
        find: the wheel that fits, by an index and a pin.
    """
    for pin in capture.closure:
        exact = f"{pin.distribution}=={pin.version}"
        if pin.index is None or exact not in wanted.constraints:
            continue
        try:
            wheel = find(pin.index, exact)
        except LockError as error:
            wanted.warnings.append(f"{exact} is not taken from {pin.index}: {error.message}")
            continue
        if wheel is None or not wheel.sha256:
            wanted.warnings.append(f"{pin.index} has no wheel of {exact} that fits.")
            continue
        direct = f"{pin.distribution} @ {wheel.url}#sha256={wheel.sha256}"
        wanted.constraints[wanted.constraints.index(exact)] = direct
        name = canonicalize_name(pin.distribution)
        if wanted.specifiers.get(name) == exact:
            wanted.specifiers[name] = direct
