"""Which distributions an image asks for, each with its reason; what they need follows by locking.

Of what was in memory without having been asked for, the capture says what the notebook needs
(`ipydock.capture.plugins`); only that goes in.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from ..models import Capture, LocalPackage, Package, Requested
from .instructions import one_line

# All that is added to what the notebook needs.
ADDED = (
    ("ipykernel", "the notebook's kernel"),
    ("nbclient", "lets `docker run` execute the notebook"),
)
# What --with adds, by its word.
EXTRAS = {"lab": ("jupyterlab", "JupyterLab, for `docker run -p 8888:8888 IMAGE lab`")}
# The modules that it starts with: those that JupyterLab's server loads by their names.
EXTRA_MODULES = {
    "lab": (
        *("jupyter_lsp.extension", "jupyter_server.serverapp", "jupyter_server_terminals.app"),
        *("jupyterlab.labapp", "jupyterlab_server.handlers", "notebook_shim.nbserver"),
    )
}


@dataclass(slots=True)
class Wanted:
    """Requirement specifiers and package lines by canonical name, and what was odd.

    ``uncertain`` are those that are not installed where the notebook was captured: names that were
    guessed, or that the notebook itself tells pip to install. ``local`` are built from their
    source, and ``built`` are their package lines. ``excluded`` came from no index and are never
    looked up on one, whoever requires them: anyone may publish something of that name there.
    """

    specifiers: dict[str, str] = field(default_factory=dict)
    packages: dict[str, Package] = field(default_factory=dict)
    uncertain: set[str] = field(default_factory=set)
    constraints: list[str] = field(default_factory=list)
    excluded: set[str] = field(default_factory=set)
    local: list[LocalPackage] = field(default_factory=list)
    built: list[Package] = field(default_factory=list)
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
    capture: Capture,
    add_pip: Iterable[str],
    origins: Mapping[tuple[str, str], str],
    *,
    machine: str = "",
    extras: Iterable[str] = (),
) -> Wanted:
    """What to lock for a capture; the user's own specifiers (``--add-pip``) have the last word.

    ``origins`` tells who asked for them where it was not the command line, see `Options`;
    ``machine`` is what the image is for, such as ``aarch64``, the captured one by default;
    ``extras`` are words of `EXTRAS`.
    """
    wanted = Wanted()
    for text in add_pip:
        who = origins.get(("add-pip", text), "--add-pip")
        package = Package(name=Requirement(text).name, version=None, reason=f"added with {who}")
        wanted.add(text, package)
    added = set(wanted.packages)
    needed = _local(wanted, capture, added, machine)
    for item in capture.requested:
        if item.distribution is not None and canonicalize_name(item.distribution) not in added:
            _request(wanted, item, item.distribution)
    for loaded in (item for item in capture.loaded if item.needed):
        name = loaded.distribution
        if canonicalize_name(name) in wanted.excluded:
            continue
        reason = dict(ADDED).get(name, f"loaded by {one_line(loaded.by, 60)}")
        package = Package(name=name, version=loaded.version, reason=reason)
        wanted.add(f"{name}=={loaded.version}", package)
    for package in needed:
        wanted.add(f"{package.name}=={package.version}", package)
    for name, reason in (*ADDED, *(EXTRAS[word] for word in extras)):
        if name in wanted.excluded:
            continue
        wanted.add(name, Package(name=name, version=None, reason=reason))
    wanted.constraints = [
        f"{pin.distribution}=={pin.version}"
        for pin in capture.closure
        if canonicalize_name(pin.distribution) not in added and not pin.url
    ]
    return wanted


def _local(wanted: Wanted, capture: Capture, added: Container[str], machine: str) -> list[Package]:
    """Take up what came from no index; what it needs from there."""
    reasons = {
        canonicalize_name(item.distribution): one_line(str(item.evidence[0]))
        for item in reversed(capture.requested)
        if item.distribution is not None and item.evidence
    }
    sources = {package.distribution: package for package in capture.local_packages}
    for pin in capture.closure:
        name = canonicalize_name(pin.distribution)
        if pin.url is None or name in added:
            continue
        wanted.excluded.add(name)
        package = sources.get(name)
        if package is None:
            wanted.warnings.append(_left_out(name, pin.url))
        elif not _fits(package, machine or capture.python.machine):
            wanted.warnings.append(
                f"{package.archive} is not for {machine or capture.python.machine}, so {name} is "
                f"left out; if it is on the index too, take it from there with --add-pip {name}."
            )
        else:
            wanted.local.append(package)
            reason = reasons.get(name) or f"needed by {', '.join(pin.required_by)}"
            wanted.built.append(Package(name=name, version=pin.version, reason=reason))
    built = {package.name for package in wanted.built}
    needed = []
    for pin in capture.closure:
        by = [name for name in pin.required_by if canonicalize_name(name) in built]
        if by and pin.url is None:
            reason = f"needed by {one_line(', '.join(by), 60)}"
            needed.append(Package(name=pin.distribution, version=pin.version, reason=reason))
    return needed


def _left_out(name: str, url: str) -> str:
    if url.startswith("git+file:"):
        mend = "push that commit and install it from there, or install it from a folder"
    elif url.startswith("file:"):
        mend = "install it from a folder with its source, or from a wheel"
    elif url.startswith("git+"):
        mend = "clone it and install it from there (pip install -e FOLDER)"
    else:
        mend = "download that file and install it from there"
    return (
        f"{name} was installed from {url.partition('#')[0]}, from where an image cannot have it, "
        f"so it is left out; {mend}, or take it from the index with --add-pip {name}."
    )


def _fits(package: LocalPackage, machine: str) -> bool:
    """Whether it is no wheel, or one for Linux on this machine."""
    if not package.archive.endswith(".whl"):
        return True
    try:
        tags = parse_wheel_filename(package.archive)[3]
    except InvalidWheelFilename:
        return False
    platforms = {tag.platform for tag in tags}
    return any(p == "any" or ("linux" in p and p.endswith(f"_{machine}")) for p in platforms)


def _request(wanted: Wanted, item: Requested, name: str) -> None:
    if canonicalize_name(name) in wanted.excluded:
        return
    if item.url is not None:
        # A name that belongs to the user alone must never be looked up where anyone can publish it.
        wanted.excluded.add(canonicalize_name(name))
        wanted.warnings.append(
            f"{name} is not installed where the notebook was captured, which takes it from "
            f"{item.url}, so that it is not known what it needs, and it is left out; install it "
            f"there, or take it from the index with --add-pip {name}."
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
