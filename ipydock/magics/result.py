"""What the magics return: an object that shows itself as HTML in Jupyter and as text elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import jinja2
from rich.console import Group, RenderableType
from rich.text import Text

from ..folding import fold_warnings
from ..models import Capture, Image, Recipe, Rerun, Verdict
from ..notebook import OWN_OUTPUT
from ..render import (
    MOST_ROWS,
    SIGN,
    WORDS,
    capture_view,
    footing,
    heading,
    notable,
    notes_of,
    notes_view,
    recipe_view,
    relative,
    sections,
    to_text,
    verdict_view,
)

FEW = 15  # rows of a section that HTML shows without a click


@dataclass(frozen=True)
class Dockerized:
    """All that ``%dockerize`` made, as far as it was asked to go."""

    capture: Capture
    recipe: Recipe | None = None
    image: Image | None = None
    rerun: Rerun | None = None
    verdict: Verdict | None = None
    engine: str = ""
    folder: str | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return to_text(self._view())

    def _all_notes(self) -> list[str]:
        recipe = self.recipe.warnings if self.recipe is not None else ()
        verdict = self.verdict.warnings if self.verdict is not None else ()
        return fold_warnings((*self.notes, *notes_of(self.seen), *recipe, *verdict))

    @property
    def seen(self) -> Capture:
        """The capture as the recipe takes it: a file too large to copy may have been asked for."""
        if self.recipe is None:
            return self.capture
        taken = {file.path for file in self.recipe.files}
        files = tuple(
            file.model_copy(update={"policy": "copy"}) if file.path in taken else file
            for file in self.capture.files_read
        )
        return self.capture.model_copy(update={"files_read": files})

    def _view(self) -> RenderableType:
        parts: list[RenderableType] = [capture_view(self.seen)]
        if self.recipe is not None and self.image is None:
            parts += [Text(""), recipe_view(self.recipe)]
        elif self.recipe is not None:
            parts.append(notes_view(fold_warnings(self.recipe.warnings)))
        if self.engine:
            parts.append(Text(self.engine))
        if self.folder:
            parts.append(Text(f"Written to {relative(self.folder)}; `docker build` needs no more."))
        if self.image is not None:
            parts.append(Text(_image_line(self.image)))
        if self.rerun is not None and self.rerun.path:
            parts.append(Text(f"The executed notebook is {relative(self.rerun.path)}."))
        if self.verdict is not None:
            parts += [Text(""), verdict_view(self.verdict)]
        parts += [Text(f"! {note}") for note in self.notes]
        return Group(*parts)

    def _repr_mimebundle_(self, **_kwargs: Any) -> tuple[dict[str, str], dict[str, Any]]:
        return {"text/plain": repr(self), "text/html": self._html()}, {OWN_OUTPUT: True}

    def _html(self) -> str:
        return template("result.html.j2").render(
            it=self,
            signs=SIGN,
            words=WORDS,
            relative=relative,
            sections=sections(self.seen),
            heading=heading(self.capture),
            footing=footing(self.capture),
            most=MOST_ROWS,
            few=FEW,
            notable=notable(self.verdict) if self.verdict else (),
            image_line=_image_line(self.image) if self.image else "",
            notes=self._all_notes(),
        )


@dataclass(frozen=True, slots=True)
class Line:
    """A stage and how far it is, or what came of it."""

    title: str
    detail: str = ""
    state: Literal["now", "done", "failed"] = "now"


@dataclass(frozen=True)
class Progress:
    """The stages so far, shown while a magic works."""

    lines: tuple[Line, ...]
    warnings: tuple[str, ...] = ()  # where no result will show them
    last: tuple[str, ...] = ()  # what the step wrote at the end in which a build failed
    share: float | None = None  # how much of the running stage is done, from 0 to 1
    seconds: int = 0  # since it began

    @property
    def elapsed(self) -> str:
        """How long the running stage has taken, such as ``75 s``; empty in its first second."""
        return f"{self.seconds} s" if self.seconds else ""

    def __repr__(self) -> str:
        stages = (f"{line.title}\n  {line.detail}".rstrip() for line in self.lines)
        warnings = (f"! {text}" for text in self.warnings)
        return "\n".join((*stages, *(f"    {text}" for text in self.last), *warnings))

    def _repr_mimebundle_(self, **_kwargs: Any) -> tuple[dict[str, str], dict[str, Any]]:
        html = template("progress.html.j2").render(it=self)
        return {"text/plain": repr(self), "text/html": html}, {OWN_OUTPUT: True}


def _image_line(image: Image) -> str:
    how = "was there already" if image.cached else f"built in {image.seconds:.1f} s"
    kind = "environment" if image.engine == "venv" else "image"
    return f"The {kind} {image.tag} ({image.size_bytes / 1e6:.0f} MB) {how}."


@cache
def template(name: str) -> jinja2.Template:
    """A template beside this module, with all that it shows escaped."""
    # Everything shown comes from a notebook: escaping is on for all of it.
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(files(__package__).joinpath(name).read_text(encoding="utf-8"))
