"""Small images that carry our labels, made in a second on any engine."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Any

from ipydock import events
from ipydock.engine.interface import Engine
from ipydock.models import Image, PythonInfo, Recipe
from ipydock.process import Completed, run

BASE = "debian:bookworm-slim"


def small_image(engine: Engine, folder: Path, *lines: str, **changes: Any) -> Image:
    """Build an image of its own from these lines of a Dockerfile, on a small base by default."""
    tag = changes.pop("tag", None)
    unique = uuid.uuid4().hex
    dockerfile = "\n".join((*(lines or (f"FROM {engine.resolve(BASE)}",)), "COPY unique /", ""))
    context = folder / unique
    context.mkdir()
    (context / "Dockerfile").write_text(dockerfile)
    (context / "unique").write_text(unique * 1000)
    recipe = Recipe(
        notebook="my nb.ipynb",
        notebook_sha256="",
        base=BASE,
        python=PythonInfo(version="3.12.1"),
        dockerfile=dockerfile,
        lock="",
        dockerignore="",
        packages=(),
        digest=hashlib.sha256(unique.encode()).hexdigest(),
        **changes,
    )
    return engine.build(recipe, context, tag=tag, on_event=events.ignore)


def client(engine: Engine, *words: str) -> Completed:
    """The engine's own client with these words, which must succeed."""
    done = run(engine.objects.command(*words), timeout=60)
    assert done.returncode == 0, done.stderr
    return done
