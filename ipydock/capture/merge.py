"""The sources into one Capture."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from packaging.utils import canonicalize_name

from .. import notebook
from ..files import is_secret
from ..models import (
    Capture,
    Pinned,
    Program,
    PythonInfo,
    Requested,
    Source,
    SystemPackage,
)
from ..notebook import Notebook
from ..notebook_v4 import printable
from . import (
    files,
    interpreter,
    leaks,
    libraries,
    live,
    local,
    order,
    plugins,
    system,
)
from .distributions import Environment
from .draft import Draft
from .findings import Findings, Install, Place
from .loaded import KERNEL, OWN, InUse
from .packages import Packages
from .provenance import provenance
from .requested import Resolver, Wanted
from .seen import Session, unseen

More: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]  # a request -> `modules_of` it


def capture(
    nb: str | os.PathLike[str] | Mapping[str, Any] | Notebook,
    *,
    python: str | Path | None = None,
    kernel: str | None = None,
    session: Mapping[str, Any] | None = None,
    base: str | None = None,
    included: Collection[str] = (),
) -> Capture:
    """What a notebook needs, with the evidence for each thing.

    Args:
        nb: a path, an nbformat node or a loaded `Notebook`.
        python: an interpreter, or the folder of its environment, whose packages count.
        kernel: a kernel name, instead of ``python``. Without either it is the notebook's kernel if
            it exists here, else this interpreter.
        session: what `ipydock.capture.live.session` told in a live kernel; its environment counts.
        base: the image whose system packages are to be named; None for the default one.
        included: files that go into the image anyway, so that nothing needs to be said of them.

    Raises:
        NotebookError: it is not a notebook that can be captured.
        EnvironmentMissing: the interpreter or kernel is not there.
    """
    draft = Draft(notebook.load(nb), base=base, included=included)
    if session is None:
        chosen = interpreter.choose(draft.nb, python=python, kernel=kernel)
        answer = interpreter.ask(chosen, draft.request())
    else:
        chosen = interpreter.Interpreter(str(session["executable"]))
        answer = {**session, "modules": session.get("modules") or {}}
    return _capture(
        draft, answer, lambda request: interpreter.ask(chosen, request)["modules"], chosen.warnings
    )


def capture_session(
    nb: str | os.PathLike[str] | Mapping[str, Any] | Notebook,
    *,
    base: str | None = None,
    included: Collection[str] = (),
) -> Capture:
    """`capture` from inside the kernel that runs the notebook: what is loaded here counts too.

    Raises:
        NotebookError: it is not a notebook that can be captured.
    """
    draft = Draft(notebook.load(nb), base=base, included=included)
    request = draft.request()
    here = live.Live(request["folder"])
    return _capture(draft, here.session(request), here.modules, ())


def _capture(draft: Draft, answer: dict[str, Any], more: More, notes: tuple[str, ...]) -> Capture:
    """Ask for more modules until the folder has been followed to its end, then merge."""
    while True:
        request = _open(draft.request(), answer["modules"])
        if request["modules"]:
            answer = {**answer, "modules": {**answer["modules"], **more(request)}}
        environment = Environment(answer, str(draft.nb.folder))
        resolver = Resolver(environment, draft.downloaded())
        resolver.resolve(draft.followed.external, draft.findings.installs)
        if not (draft.learn(resolver.local) or draft.learn_outside(answer.get("local") or {})):
            return _merge(draft, environment, resolver, notes)
        draft.follow()


def _open(request: dict[str, Any], told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A request for what was not told yet: of namespaces also what is taken from them."""
    modules = {}
    for name, members in request["modules"].items():
        place = told.get(name)
        spreads = place is not None and (place["kind"] == "namespace" or place.get("namespace"))
        if place is None or (spreads and any(f"{name}.{member}" not in told for member in members)):
            modules[name] = members
    return {**request, "modules": modules}


def _merge(
    draft: Draft, environment: Environment, resolver: Resolver, notes: tuple[str, ...]
) -> Capture:
    nb, findings, answer = draft.nb, draft.findings, environment.answer
    session = Session(nb, answer) if "loaded" in answer else None
    seen = session.findings() if session else Findings()
    if session is not None:
        _from_session(draft, resolver, session)
        notes = (*notes, *_in_memory(environment, session))
    for program, place in [*findings.programs, *seen.programs]:
        resolver.start(program, place)
    packages = Packages(environment, draft.nb.folder)
    claimed = _claim(draft, packages, resolver)
    in_use = InUse(environment, _plugins(findings, resolver, environment), session)
    reached, faults = _closure(environment, in_use, resolver)
    requested = resolver.requested()
    modules = local.local_modules(draft.folder, draft.followed)
    sources = packages.find(reached)
    data = files.resolve(
        # What was seen comes first: its order is that of the run, the source's that of the text.
        draft.folder,
        [*seen.paths, *findings.paths],
        {m.path for m in modules} | claimed | {nb.name},
    )
    python = PythonInfo(**answer["python"])
    programs = _programs([*findings.programs, *seen.programs])
    derived = _derived(
        draft, environment, session, programs=programs, requested=requested, reached=reached
    )
    warnings = [
        *nb.warnings,
        *notes,
        *_version_note(nb, python),
        *findings.warnings,
        *draft.notes,
        *resolver.warnings,
        *data.warnings,
        *leaks.check(nb, draft.folder, modules),
        *order.check(nb, _history(session)),
        *files.left_out(f for f in data.read if f.path not in draft.included),
        *derived.warnings,
        *packages.warnings,
        *environment.doubts(reached, {source.distribution for source in sources}),
        *faults,
        *seen.warnings,
    ]
    known = provenance(nb)
    return Capture(
        notebook=printable(nb.name),
        notebook_sha256=notebook.digest(nb.node),
        authors=_authors(nb),
        repository=known.source,
        revision=known.revision,
        licenses=known.licenses,
        sources=_sources(session),
        python=python,
        requested=tuple(requested),
        loaded=in_use.listed(requested, reached),
        closure=_pinned(environment, reached),
        apt=_apt(findings.installs, derived.apt),
        files_read=tuple(data.read),
        files_written=tuple(data.written),
        programs=programs,
        libraries=tuple(derived.libraries),
        conda=environment.conda,
        settings=session.settings if session else None,
        hosts=_hosts([*findings.hosts, *seen.hosts]),
        env_names=tuple(
            sorted({printable(name[:200]) for name, _ in findings.env_names + seen.env_names})
        ),
        local_modules=tuple(modules),
        local_packages=sources,
        folder=data.folder,
        search_path=_search_path(draft, claimed),
        instructions=notebook.instruction_cells(nb.node),
        modules=draft.modules(),
        unseen=unseen(session),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _sources(session: Session | None) -> tuple[Source, ...]:
    if session is None:
        return ("source", "environment")
    traced: tuple[Source, ...] = ("trace",) if session.traced is not None else ()
    return ("source", "session", "environment", *traced)


def _closure(
    environment: Environment, in_use: InUse, resolver: Resolver
) -> tuple[dict[str, set[str]], list[str]]:
    """All that what was asked for, what is in use and the kernel need; what is wrong with it."""
    kernel = {name: set[str]() for name in KERNEL[:1] if name in environment.installed}
    needed = {name: set[str]() for name in in_use.needed}
    return environment.closure({**kernel, **needed, **resolver.roots()})


def _pinned(environment: Environment, reached: Mapping[str, set[str]]) -> tuple[Pinned, ...]:
    found = []
    for name in sorted(reached):
        dist = environment.installed[name]
        found.append(
            Pinned(
                distribution=name,
                version=dist.version,
                required_by=tuple(sorted(reached[name])),
                url=dist.url,
                installer=dist.installer,
                index=dist.index[0],
            )
        )
    return tuple(found)


def _derived(
    draft: Draft,
    environment: Environment,
    session: Session | None,
    *,
    programs: Iterable[Program],
    requested: Iterable[Requested],
    reached: Iterable[str],
) -> system.SystemFindings:
    """The system packages behind all this."""
    traced = session.traced if session else None
    mapped = [
        *(environment.answer.get("libraries") or ()),
        *(traced.get("libraries", ()) if traced else ()),
    ]
    return system.packages(
        programs,
        requested,
        mapped=libraries.besides_interpreter(environment, mapped),
        needed=libraries.needed(environment, reached),
        brought=environment.programs,
        release=system.release_of(draft.base),
    )


def _from_session(draft: Draft, resolver: Resolver, session: Session) -> None:
    """What the live kernel knows besides the cells: modules in its variables, local ones loaded."""
    asked = {wanted.distribution for wanted in resolver.wanted.values()}
    for variable, (module, owner) in sorted(session.answer["namespace"].items()):
        name = canonicalize_name(owner)
        if name not in asked and name not in KERNEL + OWN:
            text = f"{variable} is the module {module}"
            wanted = Wanted(module.split(".")[0], name)
            resolver.wanted.setdefault((wanted.import_name, name), wanted).see(
                Place(text, source="session")
            )
    for module, path in sorted(session.answer["local"].items()):
        inner = draft.folder.relative(path)
        if inner is None or module.split(".")[0] == "ipydock":
            continue
        place = Place(f"{module} is loaded", source="session")
        if inner.endswith(".py") and not is_secret(inner):
            draft.followed.modules.setdefault(inner, (module, [place]))


def _claim(draft: Draft, packages: Packages, resolver: Resolver) -> frozenset[str]:
    """Ask for the editable packages that local modules are of, in place of these modules.

    Returns the paths of these modules.
    """
    claimed = set()
    for path, (name, places) in sorted(draft.followed.modules.items()):
        owner = packages.owner(path)
        if owner is None:
            continue
        del draft.followed.modules[path]
        claimed.add(path)
        packages.modules.setdefault(owner, []).append(name)
        top = name.partition(".")[0]
        wanted = resolver.wanted.setdefault((top, owner), Wanted(top, owner))
        for place in places:
            wanted.see(place)
    return frozenset(claimed)


def _search_path(draft: Draft, claimed: frozenset[str]) -> tuple[str, ...]:
    """The folders on the search path, but for those that only had modules of packages."""
    left = draft.followed.modules
    return tuple(
        root
        for root in draft.roots
        if any(path.startswith(f"{root}/") for path in left)
        or not any(path.startswith(f"{root}/") for path in claimed)
    )


def _history(session: Session | None) -> list[str] | None:
    """What was run in the session that made the stored results; a run of ours did not."""
    return None if session is None or session.answer.get("cells") else session.history


def _in_memory(environment: Environment, session: Session) -> list[str]:
    """Take the versions in memory where others were installed since: these made the results."""
    warnings = []
    for name, version in sorted(session.answer.get("versions", {}).items()):
        found = environment.installed.get(canonicalize_name(name))
        if found is not None:
            warnings.append(
                f"{found.name} {printable(version)} is in memory, but {found.version} is installed "
                "now; the one in memory was captured. Restart the kernel to use the other."
            )
            environment.installed[found.name] = found.at(printable(version))
    return warnings


def _plugins(
    findings: Findings, resolver: Resolver, environment: Environment
) -> list[plugins.Plugin]:
    """What the source makes libraries import on demand."""
    owners = {
        wanted.import_name.partition(".")[0]: wanted.distribution
        for wanted in resolver.wanted.values()
        if wanted.distribution is not None
    }
    return plugins.behind(findings.uses, findings.aliases, owners, environment.installed)


def _authors(nb: Notebook) -> tuple[str, ...]:
    """The names under ``authors`` in the notebook's metadata, as nbformat has them."""
    listed = nb.node["metadata"].get("authors")
    found = []
    for author in listed if isinstance(listed, list) else []:
        name = author.get("name") if isinstance(author, dict) else author
        if isinstance(name, str) and name.strip():
            found.append(printable(name.strip()[:200]))
    return tuple(dict.fromkeys(found))


def _version_note(nb: Notebook, python: PythonInfo) -> list[str]:
    info = nb.node["metadata"].get("language_info")
    version = info.get("version") if isinstance(info, dict) else None
    if not isinstance(version, str) or not version.startswith("3."):
        return []
    series = ".".join(version.split(".")[:2])
    if series == python.series:
        return []
    return [
        f"The notebook was last run with Python {printable(version[:20])}; Python {python.version} "
        "was captured. Another is chosen with --python or --kernel."
    ]


def _apt(installs: list[Install], derived: Iterable[SystemPackage]) -> tuple[SystemPackage, ...]:
    """The system packages that cells install, then those that are behind what is used."""
    reasons: dict[str, str] = {}
    for install in installs:
        if install.manager == "apt":
            reasons.setdefault(install.requirement, str(install.place.evidence()))
    for package in derived:
        reasons.setdefault(package.name, package.reason)
    return tuple(SystemPackage(name=name, reason=reasons[name]) for name in sorted(reasons))


def _programs(started: list[tuple[str, Place]]) -> tuple[Program, ...]:
    """Programs by name, with the path that one was seen to be started from."""
    places: dict[str, list[Place]] = {}
    paths: dict[str, str] = {}
    for program, place in started:
        name = printable(program.rpartition("/")[2] or program)
        if program.startswith("/") and place.source != "source":
            paths.setdefault(name, printable(program))
        seen = places.setdefault(name, [])
        if place not in seen and len(seen) < files.EVIDENCE:
            seen.append(place)
    return tuple(
        Program(
            name=name,
            path=paths.get(name),
            evidence=tuple(place.evidence() for place in places[name]),
        )
        for name in sorted(places)
    )


def _hosts(contacted: list[tuple[str, Place]]) -> tuple[str, ...]:
    """Hosts but for this machine, which kernels and servers on it are reached through."""
    here = {"localhost", "127.0.0.1", "::1"}
    return tuple(sorted({printable(host) for host, _ in contacted} - here))
