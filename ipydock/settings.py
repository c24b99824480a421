"""Settings that a project or a notebook carries: ``[tool.ipydock]`` and ``metadata.ipydock``.

Their keys are the names of the command line's options. Lists add up; of single values the command
line's counts before the notebook's, and that before the project's. As a notebook may come from
anyone, no setting can name files outside of the folder that it came with, or mount any.
"""

from __future__ import annotations

import difflib
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import credentials
from .errors import InputError, Refused
from .models import InstructionCell
from .notebook import Notebook, load
from .notebook_v4 import printable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from .recipe.synthesize import Options

PYPROJECT = "pyproject.toml"
_ROOTS = (".git", ".hg", ".jj")  # what tells that a project goes no higher
_LISTS = ("add_apt", "add_pip", "extras", "include", "exclude")
_SINGLE = ("base", "platform", "tag", "network", "memory", "cpus", "timeout")
_DEFAULTS = {"network": "off", "timeout": 1800.0}
# How a value of each type is written, by the error that pydantic has for another.
_FORMS = {
    "list_type": 'a list, such as {key} = ["{value}"]',
    "string_type": 'text in quotes, such as {key} = "{value}"',
    "float_type": "a number",
    "dict_type": 'a table, such as {key} = {{ NAME = "VALUE" }}',
    "literal_error": "{expected}",
    "greater_than": "more than 0",
    "greater_than_equal": "0 or more",
}


class ProjectSettings(BaseModel):
    """The keys of ``[tool.ipydock]`` and ``metadata.ipydock``; each is the option of that name.

    ``dockerfile`` holds instructions as a ``%%dockerfile`` cell does, as text or as a list of
    lines; ``timeout`` is in seconds for each cell, 0 for no limit.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=lambda name: name.replace("_", "-"),
    )

    base: str | None = None
    platform: str | None = None
    add_apt: list[str] = []
    add_pip: list[str] = []
    extras: list[Literal["lab"]] = Field(default=[], alias="with")
    env: dict[str, str] = {}
    include: list[str] = []
    exclude: list[str] = []
    tag: str | None = None
    dockerfile: list[str] = []
    network: Literal["off", "on"] | None = None
    memory: str | None = None
    cpus: float | None = Field(default=None, gt=0)
    timeout: float | None = Field(default=None, ge=0)


@dataclass(frozen=True, slots=True)
class Source:
    """Settings and where they stand; ``folder`` is that from which their paths are seen."""

    origin: str
    folder: Path
    values: ProjectSettings

    @property
    def instructions(self) -> tuple[InstructionCell, ...]:
        """Its Dockerfile instructions."""
        text = "\n".join(self.values.dockerfile)
        return (InstructionCell(text=text, origin=f"{self.origin} dockerfile"),) if text else ()


def sources(notebook: Notebook) -> tuple[Source, ...]:
    """The settings for a notebook, those that count less first.

    Raises:
        InputError: a key is unknown or a value wrong; file and key are named.
        Refused: they hold a credential.
    """
    found = []
    for path in _candidates(notebook.folder.resolve()):
        shown = Path(os.path.relpath(path, notebook.folder.resolve())).as_posix()
        table = _table(path, shown)
        if table is not None:
            found.append(_source(f"{shown} [tool.ipydock]", path.parent, table))
            break
    metadata = notebook.node["metadata"].get("ipydock")
    if metadata is not None:
        origin = f"{printable(notebook.name)} metadata.ipydock"
        found.append(_source(origin, notebook.folder.resolve(), metadata))
    return tuple(found)


def settled(notebook: Notebook, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options (as the command line has them, None or empty where not given) with the settings.

    Besides the options it holds ``instructions``, the settings' Dockerfile instructions;
    ``origins``, who asked for what, as ``(option, value) -> origin``; and ``notes``, what should
    be said.

    Raises:
        InputError: a setting is wrong, or names files outside of the folder that it came with.
    """
    merged: dict[str, Any] = {"instructions": (), "origins": {}, "notes": (), **options}
    given = list(sources(notebook))
    for source in given:
        _check(source)
        merged["instructions"] += source.instructions
    for key in _LISTS:
        merged[key] = tuple(options.get(key, ()))
        for source in reversed(given):
            values = [_path_in(source, notebook, key, v) for v in getattr(source.values, key)]
            for value in values:
                if value not in merged[key]:
                    merged["origins"][key.replace("_", "-"), value] = source.origin
            # Of two specifiers for one package the first counts.
            merged[key] = (*merged[key], *values)
    told = dict.fromkeys(text.partition("=")[0] for text in options.get("env", ()))
    env = {
        name: (value, source.origin)
        for source in given
        for name, value in source.values.env.items()
        if name not in told
    }
    merged["origins"].update({("env", name): origin for name, (_, origin) in env.items()})
    merged["env"] = (
        *(f"{name}={value}" for name, (value, _) in env.items()),
        *options.get("env", ()),
    )
    for key in _SINGLE:
        for source in reversed(given):
            value = getattr(source.values, key)
            if merged.get(key) is None and value is not None:
                merged[key] = value
                merged["origins"][key, value] = source.origin
        if merged.get(key) is None:
            merged[key] = _DEFAULTS.get(key)
    who = merged["origins"].get(("network", "on"))
    if who:
        merged["notes"] += (f"The notebook may use the network in its rerun, as {who} says.",)
    return merged


def options_for(nb: str | os.PathLike[str] | Mapping[str, Any] | Notebook) -> Options:
    """What a recipe is told where nothing else is said: the settings of the notebook and of its
    project, and the files that its ``%%dockerfile`` cells copy.

    Raises:
        NotebookError: it is not a notebook.
        InputError: a setting or an instruction is wrong.
        Refused: they hold a credential, or copy one.
    """
    from .options import recipe_options_of

    notebook = load(nb)
    found: Options = recipe_options_of(notebook, settled(notebook, {}))
    return found


def _candidates(folder: Path) -> Iterator[Path]:
    """The pyproject.toml files that may be this folder's project's, the nearest first.

    A project ends at its repository; nothing is taken from the home folder's parents, or from where
    anyone may write.
    """
    home = Path.home()
    for place in (folder, *folder.parents):
        try:
            shared = place != folder and bool(place.stat().st_mode & stat.S_IWOTH)
        except OSError:
            return
        if shared or place == place.parent:
            return
        if (place / PYPROJECT).is_file():
            yield place / PYPROJECT
        if place == home or any((place / name).exists() for name in _ROOTS):
            return


def _table(path: Path, shown: str) -> Any:
    """The table ``[tool.ipydock]`` of a file, None if it has none."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{shown} is not TOML: {error}.", hint="Mend it first.") from error
    tool = document.get("tool")
    return tool.get("ipydock") if isinstance(tool, dict) else None


def _source(origin: str, folder: Path, table: Any) -> Source:
    if not isinstance(table, dict):
        raise InputError(f"{origin} is not a table of settings.")
    if isinstance(table.get("dockerfile"), str):
        table = {**table, "dockerfile": table["dockerfile"].split("\n")}
    try:
        values = ProjectSettings.model_validate(table)
    except ValidationError as error:
        raise _wrong(origin, error) from None
    texts = [*values.env.values(), *values.dockerfile]
    for text in texts:
        for secret in credentials.find(text):
            raise Refused(
                f"{origin} holds a credential ({secret.kind}), which would be baked into the "
                "image.",
                hint="Give it to the container in another way, such as a file that is mounted "
                "(--mount).",
            )
    return Source(origin, folder, values)


def _wrong(origin: str, error: ValidationError) -> InputError:
    first = error.errors()[0]
    key = printable(".".join(map(str, first["loc"])))[:60]
    if first["type"] == "extra_forbidden":
        known = [str(field.alias) for field in ProjectSettings.model_fields.values()]
        near = difflib.get_close_matches(key, known, n=1)
        return InputError(
            f"{origin} has no setting {key!r}.",
            hint=f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(known))}.",
        )
    given = printable(str(first["input"]))[:40]
    choices = str(first.get("ctx", {}).get("expected", "")).replace("'", '"').split(" or ")
    words = {"key": key, "value": given, "expected": " or ".join(reversed(choices))}
    form = _FORMS.get(first["type"], first["msg"]).format(**words)
    return InputError(f"{origin}: {key} is {given!r}.", hint=f"It should be {form}.")


def _check(source: Source) -> None:
    """Raise what the recipe's options or the limits say of these, with their origin."""
    from .options import limits_of
    from .pipeline import BuildOptions
    from .recipe.synthesize import Options

    values = source.values
    try:
        Options(
            base=values.base,
            platform=values.platform,
            add_apt=tuple(values.add_apt),
            add_pip=tuple(values.add_pip),
            env=tuple(values.env.items()),
        )
        BuildOptions(tag=values.tag)
        limits_of(
            {"memory": values.memory, "cpus": values.cpus, "network": "off", "timeout": 0}
            | {"mount": ()}
        )
    except InputError as error:
        raise InputError(f"{source.origin}: {error.message}", hint=error.hint) from error


def _path_in(source: Source, notebook: Notebook, key: str, value: str) -> str:
    """A pattern of files as it is seen from the notebook's folder; other values as they are."""
    if key not in ("include", "exclude"):
        return value
    if value.startswith(("/", "~")) or ".." in PurePosixPath(value).parts:
        raise InputError(
            f"{source.origin}: {key} {value!r} leads out of the folder that it stands in.",
            hint=f"Give it on the command line, as --{key}.",
        )
    here = notebook.folder.resolve()
    if source.folder == here or (key == "exclude" and "/" not in value):
        return value
    return Path(os.path.relpath(source.folder / value, here)).as_posix()
