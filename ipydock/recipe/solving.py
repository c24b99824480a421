"""From what is wanted to locks: of what has wheels, of what is built, of what builds that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from packaging.utils import canonicalize_name

from ..errors import InputError, LockError
from ..models import Capture, Download, LocalPackage
from . import local, vendor
from .layers import UV_VERSION
from .lock import Lock, LockedFiles, entries
from .wanted import Wanted

Solve = Callable[..., Lock]
Files = Callable[[str], Sequence[LockedFiles]]


@dataclass(frozen=True, slots=True)
class Solved:
    """A lock of all, divided: ``text`` pins what has wheels, ``sdists`` what has none.

    ``sourced`` are the versions of the latter.
    """

    whole: Lock
    text: str
    sdists: str = ""
    sourced: dict[str, str] = field(default_factory=dict)


def solved(wanted: Wanted, solve: Solve, files: Files) -> Solved:
    """Lock what is wanted, without the uncertain names where these stand in the way.

    A name that a notebook brings up may be anyone's, so nothing of it is run here to learn what it
    needs: it must have wheels. What is installed here has run here before.

    Args:
        wanted: what was asked for; uncertain names that do not fit are dropped from it.
        solve: `ipydock.recipe.lock.lock` for a platform.
        files: `ipydock.recipe.lock.files` for the same.

    Raises:
        LockError: there is no solution for the rest either.
    """
    excluded = partial(solve, excluded=sorted(wanted.excluded))

    def attempt(left_out: frozenset[str] = frozenset(), *, build: bool | list[str] = False) -> Lock:
        names = sorted(wanted.specifiers.keys() - left_out)
        return excluded([wanted.specifiers[n] for n in names], wanted.constraints, build=build)

    try:
        whole = attempt()
        return Solved(whole, whole.text)
    except LockError as error:
        if error.unreachable:
            raise
    for name in sorted(wanted.uncertain):
        try:
            excluded([wanted.specifiers[name]], wanted.constraints)
        except LockError:
            _drop(wanted, name, "has no wheel that fits")
    try:
        whole = attempt()
        return Solved(whole, whole.text)
    except LockError:
        whole = attempt(frozenset(wanted.uncertain), build=True)
    sourced = _sourced(files(whole.text))
    if wanted.uncertain:
        try:
            whole = attempt(build=sorted(sourced))
        except LockError:
            for name in sorted(wanted.uncertain):
                _drop(wanted, name, "stands beside packages that have no wheels")
    return _divided(whole, sourced)


def _sourced(files: Sequence[LockedFiles]) -> dict[str, str]:
    return {item.name: item.version for item in files if not item.wheels}


def _divided(whole: Lock, sourced: dict[str, str]) -> Solved:
    kept: list[str] = []
    built: list[str] = []
    for pin, text in entries(whole.text).items():
        (built if pin.partition("==")[0] in sourced else kept).append(text)
    sdists = "# What has no wheel, with the hashes of its source distributions.\n" + "".join(built)
    return Solved(whole, "".join(kept), sdists if built else "", sourced)


def _drop(wanted: Wanted, name: str, why: str) -> None:
    wanted.warnings.append(
        f"{name} is not installed where the notebook was captured and {why}, so it is left out; "
        f"name one that fits with --add-pip '{name}==VERSION'."
    )
    wanted.drop(name)


def vendored(
    made: Solved,
    own: Sequence[LocalPackage],
    texts: Sequence[tuple[str, str]],
    files: Files,
    *,
    python: str,
    machine: str,
) -> tuple[Download, tuple[Download, ...]]:
    """The wheel of uv, and all that a build installs or builds with, by name.

    Args:
        made: the locks of what is installed.
        own: packages that came from no index.
        texts: as `build_locks` returns them.
        files: `ipydock.recipe.lock.files` for the image's Python and platform.
        python: interpreter series.
        machine: as wheels call it.

    Raises:
        InputError: something has no wheel, or has to be fetched by the build.
    """
    names = {path for path, _ in texts}
    for package in own:
        if package.url is not None:
            raise InputError(
                f"{package.distribution} cannot be vendored: it comes from a repository, "
                f"{package.url.partition('@')[0]}.",
                hint="Clone that and install it from the clone (pip install -e FOLDER), so that "
                "its source goes into the context, or leave --vendor out.",
            )
        if local.lock_name(package) not in names and not package.archive.endswith(".whl"):
            raise InputError(
                f"{package.distribution} cannot be vendored: it is not known what builds it.",
                hint="Install it from a folder or from a wheel, or leave --vendor out.",
            )
    fit = partial(vendor.chosen, python=python, machine=machine)
    wheels = {one.name: one for one in fit(files(made.whole.text))}
    for path, text in texts:
        if path.endswith(".lock"):
            wheels |= {one.name: one for one in fit(files(text))}
    uv = fit(files(f"uv=={UV_VERSION}"))[0]
    wheels[uv.name] = uv
    return uv, tuple(wheels[name] for name in sorted(wheels))


def by_version(text: str) -> str:
    """A lock in which what is named by a URL is named by its version, as a folder has it."""
    for pin, entry in entries(text).items():
        first, _, rest = entry.partition("\n")
        if " @ " in first:
            text = text.replace(entry, f"{pin} \\\n{rest}", 1)
    return text


def build_locks(
    capture: Capture, own: Sequence[LocalPackage], wanted: Wanted, solve: Solve
) -> tuple[tuple[str, str], ...]:
    """Of packages that came from no index: what pins the build requirements of each, and the names
    of the modules to compile, as files of the context."""
    if not own:
        return ()
    texts = []
    for package in own:
        if not package.build_requires:
            continue
        try:
            pins = solve(sorted(package.build_requires), []).text
        except LockError as error:
            if error.unreachable:
                raise
            wanted.warnings.append(
                f"What {package.distribution} needs to be built is not pinned: {error.message}"
            )
            continue
        texts.append((local.lock_name(package), pins))
    names = {package.distribution for package in own}
    tops = {
        item.import_name.partition(".")[0]
        for item in capture.requested
        if item.distribution is not None and canonicalize_name(item.distribution) in names
    }
    modules = {name for name in capture.modules if name.partition(".")[0] in tops}
    modules.update(name for package in own for name in package.modules)
    texts.append((local.MODULES, "".join(f"{name}\n" for name in sorted(modules))))
    return tuple(texts)
