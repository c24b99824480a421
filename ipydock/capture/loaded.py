"""Distributions in use that nobody asked for: which there are, and which the notebook needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.utils import canonicalize_name

from ..models import Evidence, Loaded, Requested
from .distributions import Environment
from .plugins import Plugin, on_demand
from .seen import Session

# In memory in every session: what a kernel brings, which the image has too, and ipydock itself.
KERNEL = ("ipykernel", "ipython", "jupyter-client", "debugpy", "pip", "setuptools")
OWN = ("ipydock",)
NOTEBOOK = "__main__"


class InUse:
    """What was in use besides what was asked for, and why each thing is taken to be needed."""

    def __init__(
        self, environment: Environment, plugins: Iterable[Plugin], session: Session | None
    ) -> None:
        """Take together what the source makes libraries import and what the session saw."""
        self.environment = environment
        self.users = _users(environment, session)
        self.needed: dict[str, tuple[str, Evidence]] = {}  # distribution -> by whom, evidence
        for plugin in plugins:
            self._need(plugin.distribution, plugin.by, plugin.place.evidence())
        for name, (by, place) in (session.demanded() if session else {}).items():
            self._need(name, by, place.evidence())
        if session is not None and not session.whole:
            for name, users in self.users.items():
                for user in sorted(users):
                    if name in on_demand(user):
                        text = f"in memory, and {user} imports it only when it needs it"
                        self._need(name, user, Evidence(source="session", text=text))

    def _need(self, name: str, by: str, evidence: Evidence) -> None:
        name = canonicalize_name(name)
        if name in self.environment.installed and name not in KERNEL + OWN:
            who = "the notebook" if by == NOTEBOOK else canonicalize_name(by)
            self.needed.setdefault(name, (who, evidence))

    def listed(
        self, requested: Iterable[Requested], reached: Mapping[str, set[str]]
    ) -> tuple[Loaded, ...]:
        """All of it by name: the kernel, what is needed, what only happened to be in memory.

        Args:
            requested: what was asked for.
            reached: what that requires, with who requires it.
        """
        asked = {item.distribution for item in requested}
        installed = self.environment.installed
        result = []
        kernel = installed.get(KERNEL[0])
        if kernel is not None and kernel.name not in asked:
            result.append(
                Loaded(
                    distribution=kernel.name, version=kernel.version, by="the kernel", needed=True
                )
            )
        for name in sorted(self.needed.keys() - asked):
            if not reached.get(name):
                by, evidence = self.needed[name]
                result.append(
                    Loaded(
                        distribution=name,
                        version=installed[name].version,
                        by=by,
                        needed=True,
                        evidence=(evidence,),
                    )
                )
        return (*result, *self._idle(asked, reached))

    def _idle(self, asked: set[str | None], reached: Mapping[str, set[str]]) -> list[Loaded]:
        """In memory, but nobody asked for it, nothing requires it and no behaviour used it."""
        kernel, own = (
            set(self.environment.closure({n: () for n in names if self._has(n)})[0])
            for names in (KERNEL, OWN)
        )
        result = []
        for name in sorted(self.users.keys() - asked - reached.keys() - kernel - set(OWN)):
            if not self._has(name):
                continue
            # What ipydock requires is in memory because of ipydock, unless others refer to it.
            users = sorted(self.users[name] - kernel - own | self.users[name] & asked)
            if name in own and not users:
                continue
            by = ", ".join("the notebook" if user == NOTEBOOK else user for user in users)
            result.append(
                Loaded(
                    distribution=name,
                    version=self.environment.installed[name].version,
                    by=by or "not known",
                    evidence=(Evidence(source="session", text="loaded in the live kernel"),),
                )
            )
        return result

    def _has(self, name: str) -> bool:
        return name in self.environment.installed


def _users(environment: Environment, session: Session | None) -> dict[str, set[str]]:
    """Distribution in memory -> the distributions (or the notebook) that refer to it."""
    told: Mapping[str, Iterable[str]] = session.answer["loaded"] if session else {}
    return {
        canonicalize_name(name): {u if u == NOTEBOOK else canonicalize_name(u) for u in users}
        for name, users in told.items()
        if canonicalize_name(name) in environment.installed
    }
