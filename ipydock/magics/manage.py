"""``%ipydock``: the life cycle in a notebook."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

import click
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_magic, magics_class

from ..capture import watch
from ..errors import IpydockError
from ..manage import DOCTOR, VERBS, call
from ..manage_view import Page, to_rich
from ..notebook import OWN_OUTPUT
from ..render import to_text
from .calm import calmly
from .result import template

_VERBS = {**VERBS, "doctor": DOCTOR}


@dataclass(frozen=True)
class Shown:
    """The answer of a verb: a table in Jupyter, text elsewhere; ``document`` is its JSON form."""

    page: Page

    @property
    def document(self) -> Any:
        """What ``--json`` gives, as plain data."""
        return self.page.document

    def __repr__(self) -> str:
        return to_text(to_rich(self.page), 140)

    def _repr_mimebundle_(self, **_kwargs: Any) -> tuple[dict[str, str], dict[str, Any]]:
        html = template("manage.html.j2").render(it=self.page)
        return {"text/plain": repr(self), "text/html": html}, {OWN_OUTPUT: True}


@magics_class
class ManageMagics(Magics):
    """The line magic ``%ipydock``."""

    @line_magic
    def ipydock(self, line: str) -> Shown | None:
        """List and remove what ipydock made: ``%ipydock ps|images|logs|stop|rm|prune|doctor``."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise UsageError(f"%ipydock: {error}") from None
        verb = _VERBS.get(words[0]) if words else None
        if verb is None or words[1:] in (["-h"], ["--help"]):
            print(_help(verb))  # noqa: T201
            if verb is None and words and words[0] not in ("-h", "--help"):
                raise UsageError(f"%ipydock has no verb {words[0]!r}.")
            return None
        # What ipydock opens and imports is none of the notebook's.
        with calmly(), watch.paused():
            return _answer(verb, words[1:])


def _answer(verb: click.Command, words: list[str]) -> Shown | None:
    try:
        with verb.make_context(f"%ipydock {verb.name}", list(words)) as context:
            page = call(verb, context.params)
    except click.ClickException as error:
        raise UsageError(
            f"{error.format_message()} %ipydock {verb.name} -h lists the options."
        ) from None
    if context.params["as_json"]:
        print(json.dumps(page.document, indent=1))  # noqa: T201
        return None
    if page.carry_out is not None:
        note = "Nothing was removed; add --yes to do it."
        page = Page(page.document, page.lines, page.table, page.log, (*page.notes, note))
    return Shown(page)


def _help(verb: click.Command | None) -> str:
    if verb is not None:
        with click.Context(verb, info_name=f"%ipydock {verb.name}") as context:
            return verb.get_help(context)
    lines = [f"  {name:<8}{known.get_short_help_str(90)}" for name, known in _VERBS.items()]
    return "\n".join(("Usage: %ipydock VERB [OPTIONS]; %ipydock VERB -h tells more.", "", *lines))


def complete(_shell: InteractiveShell, event: Any) -> list[str]:
    """What can stand where the cursor is after ``%ipydock``: verbs, options, choices, names."""
    words = event.line.split()
    if not event.line.endswith((" ", "\t")):
        words = words[:-1]
    if len(words) <= 1:
        return list(_VERBS)
    verb = _VERBS.get(words[1])
    if verb is None:
        return []
    if event.symbol.startswith("-"):
        return [name for option in verb.params for name in (*option.opts, *option.secondary_opts)]
    last = next((o for o in verb.params if words[-1] in o.opts and len(words) > 2), None)
    if last is not None and isinstance(last.type, click.Choice):
        return list(last.type.choices)
    return _names() if verb.name in ("logs", "stop", "rm") else []


def _names() -> list[str]:
    from ..lifecycle import containers, images, scope

    try:
        where = scope()
        found = [container.name for container in containers(where, ended=True).containers]
        return [*found, *(tag for image in images(where).images for tag in image.tags)]
    except IpydockError:
        return []  # completing is no place for errors; running the line tells


def register(shell: InteractiveShell) -> None:
    """Make ``%ipydock`` known to a shell, with its completions."""
    shell.register_magics(ManageMagics)
    shell.set_hook("complete_command", complete, str_key="%ipydock")


def unregister(shell: InteractiveShell) -> None:
    """Let a shell forget ``%ipydock``."""
    shell.magics_manager.magics["line"].pop("ipydock", None)
    shell.magics_manager.registry.pop("ManageMagics", None)
    hooks = shell.strdispatchers.get("complete_command")
    if hooks is not None:
        hooks.strs.pop("%ipydock", None)
