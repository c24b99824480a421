"""Which distributions an image asks for, each with its reason; what they need follows by locking.

Of what was in memory without having been asked for, the capture says what the notebook needs
(`ipydock.capture.plugins`); only that goes in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ..models import Capture, Package, Requested
from .instructions import one_line

# All that is added to what the notebook needs.
ADDED = (
    ("ipykernel", "the notebook's kernel"),
    ("nbclient", "lets `docker run` execute the notebook"),
)


@dataclass(slots=True)
class Wanted:
    """Requirement specifiers and package lines by canonical name, and what was odd.

    ``uncertain`` are those that are not installed where the notebook was captured: names that were
    guessed, or that the notebook itself tells pip to install.
    """

    specifiers: dict[str, str] = field(default_factory=dict)
    packages: dict[str, Package] = field(default_factory=dict)
    uncertain: set[str] = field(default_factory=set)
    constraints: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def drop(self, name: str) -> None:
        """Take one out again, by its canonical name."""
        del self.specifiers[name], self.packages[name]
        self.uncertain.discard(name)

    def add(self, specifier: str, package: Package) -> None:
        """Add one, unless it is there: the first reason is the best one."""
        name = canonicalize_name(package.name)
        if name not in self.packages:
            self.specifiers[name] = specifier
            self.packages[name] = package


def choose(
    capture: Capture, add_pip: Iterable[str], origins: Mapping[tuple[str, str], str]
) -> Wanted:
    """What to lock for a capture; the user's own specifiers (``--add-pip``) have the last word.

    ``origins`` tells who asked for them where it was not the command line, see `Options`.
    """
    wanted = Wanted()
    for text in add_pip:
        who = origins.get(("add-pip", text), "--add-pip")
        package = Package(name=Requirement(text).name, version=None, reason=f"added with {who}")
        wanted.add(text, package)
    added = set(wanted.packages)
    for item in capture.requested:
        if item.distribution is not None and canonicalize_name(item.distribution) not in added:
            _request(wanted, item, item.distribution)
    for loaded in (item for item in capture.loaded if item.needed):
        name = loaded.distribution
        reason = dict(ADDED).get(name, f"loaded by {one_line(loaded.by, 60)}")
        package = Package(name=name, version=loaded.version, reason=reason)
        wanted.add(f"{name}=={loaded.version}", package)
    for name, reason in ADDED:
        wanted.add(name, Package(name=name, version=None, reason=reason))
    wanted.constraints = [
        f"{pin.distribution}=={pin.version}"
        for pin in capture.closure
        if canonicalize_name(pin.distribution) not in added and not pin.url
    ]
    return wanted


def _request(wanted: Wanted, item: Requested, name: str) -> None:
    if item.url is not None:
        # A name that belongs to the user alone must never be looked up where anyone can publish it.
        kind = "a folder or file beside it" if item.url.startswith("file:") else item.url
        wanted.warnings.append(
            f"{name} was installed from {kind}, which is not put into the image yet, so that "
            f"`import {item.import_name}` will fail there; if it is on the index too, take it from "
            f"there with --add-pip {name}."
        )
        return
    reason = one_line(str(item.evidence[0]) if item.evidence else f"import {item.import_name}")
    if item.guess:
        reason += f" (a guess: {item.import_name} is not installed where it was captured)"
    specifier = f"{name}=={item.version}" if item.version else _asked(item, name)
    package = Package(name=name, version=item.version, reason=reason, guess=item.guess)
    wanted.add(specifier, package)
    if not item.version:
        wanted.uncertain.add(canonicalize_name(name))


def _asked(item: Requested, name: str) -> str:
    """What the notebook itself told pip, such as ``pandas[excel]<3``, if that names the same."""
    try:
        asked = Requirement(item.requirement or name)
    except InvalidRequirement:
        return name
    same = canonicalize_name(asked.name) == canonicalize_name(name) and asked.url is None
    return str(asked) if same else name
