"""One name in a registry for several platforms: a manifest list of images that were pushed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from . import events
from .engine.interface import Engine
from .errors import InputError
from .events import OnEvent, StageFinished, StageStarted
from .managed import ManagedImage, Pushed
from .process import Cancellation, Completed, ProcessPlan, run
from .share import check_target, is_loopback, push, refusal


def push_list(
    engine: Engine,
    images: Sequence[ManagedImage],
    target: str,
    *,
    on_event: OnEvent = events.ignore,
    cancel: Cancellation | None = None,
) -> Pushed:
    """Push images, one for each platform, and a manifest list of them under one name.

    Each image is pushed as ``TARGET-ARCHITECTURE`` too, since registries keep what has a name.

    Raises:
        InputError: two images are for the same platform, or the name is not one.
        RegistryError: the registry did not take one of them, or the list.
        Cancelled: ``cancel`` was raised.
    """
    check_target(target)
    name = target if ":" in target.rpartition("/")[2] else f"{target}:latest"
    platforms = tuple(image.platform for image in images)
    if len(set(platforms)) < len(platforms):
        raise InputError(
            f"Two images are for the same platform: {', '.join(platforms)}.",
            hint="Give each platform once.",
        )
    parts = [
        push(engine, i, f"{name}-{i.platform.partition('/')[2]}", on_event=on_event, cancel=cancel)
        for i in images
    ]
    began = time.monotonic()
    on_event(StageStarted("push", f"Push {name} for {', '.join(platforms)}"))
    references = [f"{part.reference.rpartition(':')[0]}@{part.digest}" for part in parts]
    joined = _podman if engine.name == "podman" else _docker
    digest = joined(engine, name, references, cancel)
    on_event(StageFinished("push", time.monotonic() - began, f"{name}@{digest[:19]}"))
    return Pushed(reference=name, digest=digest, platforms=platforms)


def _docker(engine: Engine, name: str, references: list[str], cancel: Cancellation | None) -> str:
    plain = ("--insecure",) if is_loopback(name) else ()

    def ask(*words: str) -> Completed:
        return _ask(engine, name, engine.objects.command("manifest", *words), cancel)

    # The client keeps a list that it makes until it is pushed; one of an earlier try may be there.
    run(engine.objects.command("manifest", "rm", name), cancel=cancel)
    ask("create", *plain, name, *references)
    return ask("push", "--purge", *plain, name).stdout.strip().splitlines()[-1]


def _podman(engine: Engine, name: str, references: list[str], cancel: Cancellation | None) -> str:
    plain = ("--tls-verify=false",) if is_loopback(name) else ()
    with _local_list(engine) as local, tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "digest")

        def ask(*words: str) -> Completed:
            return _ask(engine, name, engine.objects.command("manifest", *words), cancel)

        for reference in references:
            ask("add", *plain, local, f"docker://{reference}")
        ask("push", "--all", "--digestfile", str(told), *plain, local, f"docker://{name}")
        return told.read_text(encoding="utf-8").strip()


@contextmanager
def _local_list(engine: Engine) -> Iterator[str]:
    """A list of Podman's own, gone after the block."""
    name = f"localhost/ipydock-list:{time.monotonic_ns()}"
    run(engine.objects.command("manifest", "create", name))
    try:
        yield name
    finally:
        run(engine.objects.command("manifest", "rm", name))


def _ask(engine: Engine, name: str, plan: ProcessPlan, cancel: Cancellation | None) -> Completed:
    done = run(plan, cancel=cancel)
    if done.returncode:
        raise refusal(engine.name, name, done.stdout + done.stderr)
    return done
