"""An image for another machine: pushed to a registry, or saved to a file and loaded there.

The engine's own client does the talking, so that credentials (its configuration, its helpers) are
found as the user's own ``docker push`` finds them, and never pass through ipydock.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import events
from .archive import CHUNK, Packed, Writer, contents, suffix_of, unpacked
from .credentials import mask
from .engine.interface import Engine
from .engine.labels import MANAGED
from .errors import EngineError, InputError, RegistryError
from .events import LogLine, OnEvent, Progressed, StageFinished, StageStarted
from .folding import size_in_words
from .lifecycle import Scope, find, full_name, images
from .managed import Archive, LoadedImages, ManagedImage, Pushed
from .models import is_tag
from .piping import read_from, write_to
from .process import Cancellation, run

_EVERY = 0.1  # seconds between two reports of progress
_LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?/")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_USERINFO = re.compile(r"[^\s/@\"']+(:[^\s/@\"']*)?@(?!sha256:)")
_HELPER = re.compile(r"(out: `).*?(`)", re.DOTALL)  # what a credential helper printed


@dataclass(frozen=True, slots=True)
class _Kind:
    """A way in which a push fails: what the client says, what it means, the mend."""

    pattern: re.Pattern[str]
    says: str
    hint: str


_KINDS = tuple(
    _Kind(re.compile(pattern, re.IGNORECASE), says, hint)
    for pattern, says, hint in (
        (
            r"x509|certificate|gave HTTP response to HTTPS client|tls: |TLS handshake",
            "its TLS certificate is not trusted, or it speaks no TLS",
            "Give the engine the registry's authority (docker: /etc/docker/certs.d/{host}/ca.crt), "
            'or, for one in your own network, list it in "insecure-registries" of the engine.',
        ),
        (
            r"credential(s)? helper|error getting credentials|docker-credential-|"
            r"credentials? store",
            "the helper that keeps the credentials failed",
            "Check credsStore and credHelpers in the client's config.json, or log in again: "
            "{engine} login {host}.",
        ),
        (
            r"no such host|server misbehaving|name resolution|lookup [^\n]+: ",
            "there is no host of that name",
            "Check the name in -t, and the network of the engine.",
        ),
        (
            r"connection refused|no route to host|network is unreachable|i/o timeout|"
            r"deadline exceeded|context canceled while|EOF$|connection reset",
            "nothing answers there",
            "Check the host and port in -t, the network of the engine, and that the registry is "
            "up.",
        ),
        (
            r"unauthorized|no basic auth|authentication required|incorrect username|"
            r"invalid username|denied|forbidden|insufficient_scope|authorization failed",
            "it was denied",
            "Log in with an account that may write there: {engine} login {host}; and check that "
            "the repository exists or may be made.",
        ),
        (
            r"no such image|image not known|does not exist locally|tag does not exist",
            "the engine has no such image",
            "`ipydock images` lists what there is.",
        ),
        (
            r"no space left|quota|too large|413",
            "the registry has no room for it",
            "Free some there, or ask who keeps it.",
        ),
        (
            r"name unknown|name invalid|invalid repository|repository name not known|"
            r"manifest invalid|unsupported",
            "the registry does not take this name or kind of image",
            "Check -t, as the registry's documentation writes names.",
        ),
    )
)


def image_of(where: Scope, name: str) -> tuple[Engine, ManagedImage]:
    """The image of ours that a name or id means, and the engine that has it.

    Raises:
        InputError: there is none, or it is a container.
    """
    thing = find(where, name)
    if not isinstance(thing, ManagedImage):
        raise InputError(f"{name} is a container.", hint="`ipydock images` lists the images.")
    return where.engine(thing.engine), thing


def push(
    engine: Engine,
    image: ManagedImage,
    target: str,
    *,
    on_event: OnEvent = events.ignore,
    cancel: Cancellation | None = None,
) -> Pushed:
    """Give an image a name in a registry and push it there.

    The name stays on the image, as after ``docker tag``, if the push succeeds.

    Args:
        engine: the engine that has it.
        image: one of `ipydock.lifecycle.images`.
        target: ``REGISTRY/NAME:TAG``; without a registry it goes to the engine's own, Docker Hub.
        on_event: receives the progress, in layers.
        cancel: ends it when raised.

    Raises:
        InputError: the name is not one, or the image is an environment.
        RegistryError: the registry did not take it; the message says why, the hint the mend.
        Cancelled: ``cancel`` was raised.
    """
    check_target(target)
    name = target if ":" in target.rpartition("/")[2] else f"{target}:latest"
    objects = engine.objects
    objects.command("push")  # or it would be named, and then not be pushed
    began = time.monotonic()
    on_event(StageStarted("push", f"Push {image.name} as {name} with {engine.name}"))
    with _named(engine, image, name), tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "digest")
        plan = objects.command("push", *_options(engine, name, told), name)
        done = run(plan, on_line=_PushLog(on_event).line, cancel=cancel)
        if done.returncode:
            raise refusal(engine.name, name, done.stdout + done.stderr)
        said = told.read_text(encoding="utf-8") if told.exists() else done.stdout
    digest = _DIGEST.search(said.rpartition("digest: ")[2])
    pushed = Pushed(reference=name, digest=digest[0] if digest else "", platforms=(image.platform,))
    on_event(StageFinished("push", time.monotonic() - began, f"{name}@{pushed.digest[:19]}"))
    return pushed


@contextlib.contextmanager
def _named(engine: Engine, image: ManagedImage, name: str) -> Iterator[None]:
    """Give an image a name; if the block fails, the name is again what it was.

    Raises:
        InputError: the name belongs to an image that is not ours.
    """
    if full_name(name) in {full_name(tag) for tag in image.tags}:
        yield
        return
    objects = engine.objects
    tagged = [i for i in objects.images() if full_name(name) in {full_name(t) for t in i.tags}]
    if not tagged and objects.other(name) == "image":
        raise InputError(
            f"{name} is the name of an image here that is not ipydock's, so it was not pushed.",
            hint="Choose another -t, or give that image another name.",
        )
    engine.tag(engine.inspect(image.id), name)
    try:
        yield
    except BaseException:
        if tagged:
            engine.tag(engine.inspect(tagged[0].id), name)
        elif image.tags:  # the last name would take the image with it
            objects.remove_image(name)
        raise


def check_target(target: str) -> None:
    """Raise `InputError` if an image cannot be pushed under this name; it is not repeated then."""
    if is_tag(target):
        return
    shown = _USERINFO.sub("***@", mask(target))
    more = " No user or password belongs into it." if shown != target else ""
    raise InputError(
        f"{shown!r} is not a name for an image in a registry.{more}",
        hint="Write -t REGISTRY/NAME:TAG, in small letters, such as ghcr.io/me/analysis:1.0; "
        "`docker login REGISTRY` takes the password.",
    )


def is_loopback(name: str) -> bool:
    """Whether a name is of a registry on this machine, which needs no TLS."""
    return bool(_LOOPBACK.match(name))


def _options(engine: Engine, name: str, digest: Path) -> tuple[str, ...]:
    if engine.name != "podman":
        return ()
    # Docker itself takes registries on loopback without TLS (docker docs, dockerd
    # --insecure-registry); Podman is told to, so that both do the same.
    plain = ("--tls-verify=false",) if is_loopback(name) else ()
    return (*plain, "--digestfile", str(digest))


class _PushLog:
    """Takes the lines of a push and reports how many of the layers are there."""

    def __init__(self, on_event: OnEvent) -> None:
        self._on_event = on_event
        self._layers: dict[str, bool] = {}

    def line(self, text: str) -> None:
        self._on_event(LogLine("push", clean(text)))
        layer, colon, state = text.partition(": ")
        if text.startswith("Copying blob "):  # Podman
            self._layers[text.split()[2]] = "done" in text or "skipped" in text
        elif colon and re.fullmatch(r"[0-9a-f]{12}", layer):
            self._layers[layer] = state.startswith(("Pushed", "Layer already", "Mounted"))
        else:
            return
        done = sum(self._layers.values())
        self._on_event(Progressed("push", done, len(self._layers), "layers"))


def clean(text: str) -> str:
    """What a client said, without credentials that a helper or an address in it may have held."""
    return mask(_USERINFO.sub("***@", _HELPER.sub(r"\1***\2", text)))


def refusal(engine: str, name: str, said: str) -> RegistryError:
    """The error for a push that failed, by what its client said."""
    host = name.partition("/")[0] if "/" in name else "docker.io"
    if "." not in host and ":" not in host and host != "localhost":
        host = "docker.io"
    evidence = clean(said)
    lines = [line.strip() for line in evidence.splitlines() if line.strip()]
    for kind in _KINDS:
        if kind.pattern.search(evidence):
            return RegistryError(
                f"{name} was not pushed to {host}: {kind.says}.",
                hint=kind.hint.format(host=host, engine=engine),
                evidence=evidence,
            )
    return RegistryError(
        f"{name} was not pushed to {host}: {lines[-1][:300] if lines else 'no message'}",
        hint="-v shows all that the client said.",
        evidence=evidence,
    )


def save(
    engine: Engine,
    image: ManagedImage,
    out: Path,
    *,
    on_event: OnEvent = events.ignore,
    cancel: Cancellation | None = None,
) -> Archive:
    """Write an image with its names to a file: ``.tar.zst``, ``.tar.gz`` or ``.tar``.

    The file appears once it is whole; a file that was there is replaced then.

    Raises:
        InputError: the file cannot be written, or the image is an environment.
        DiskFull: there is no room for the file.
        EngineError: the engine could not give the image.
        Cancelled: ``cancel`` was raised; nothing is left of the file.
    """
    suffix_of(out)
    plan = engine.objects.command("save", *_all_of(engine), *(image.tags or (image.id,)))
    began = time.monotonic()
    on_event(StageStarted("save", f"Save {image.name} to {out}"))
    meter = _Meter("save", image.size_bytes, on_event)
    with Writer(out) as writer:

        def take(data: bytes) -> None:
            writer.write(data)
            meter.add(len(data))

        done = read_from(plan, take, cancel=cancel)
        if done.returncode:
            raise _failed(engine, "save", done.stderr)
        if cancel is not None:
            cancel.check()
    size = out.stat().st_size
    on_event(
        StageFinished(
            "save",
            time.monotonic() - began,
            f"{out}, {size_in_words(size)} (unpacked {size_in_words(meter.done)})",
        )
    )
    return Archive(path=str(out), size_bytes=size, image=image.id, tags=image.tags)


def _all_of(engine: Engine) -> tuple[str, ...]:
    # Without it Podman takes the second name for the file to write to.
    return ("--multi-image-archive",) if engine.name == "podman" else ()


class _Meter:
    """Counts bytes and reports them now and then."""

    def __init__(self, stage: events.Stage, total: int, on_event: OnEvent) -> None:
        self.done = 0
        self._stage, self._total, self._on_event = stage, total, on_event
        self._told = 0.0

    def add(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self._told >= _EVERY:
            self._told = time.monotonic()
            total = max(self._total, self.done) if self._total else None
            self._on_event(Progressed(self._stage, self.done, total))


def load(
    engine: Engine,
    path: Path,
    *,
    on_event: OnEvent = events.ignore,
    cancel: Cancellation | None = None,
) -> LoadedImages:
    """Load an archive that `save` wrote, on this machine or another.

    It is read once before the engine gets it: an archive with an image that is not ipydock's, or
    whose names belong to another image here, is refused whole.

    Raises:
        InputError: the file is damaged, is no such archive, or was refused.
        EngineError: the engine could not take it.
        Cancelled: ``cancel`` was raised; the engine has nothing of it.
    """
    cancel = cancel or Cancellation()
    plan = engine.objects.command("load")
    began = time.monotonic()
    on_event(StageStarted("load", f"Load {path} with {engine.name}"))

    def look(done: int) -> None:
        cancel.check()
        checked.add(done - checked.done)

    checked = _Meter("load", 0, on_event)
    packed = contents(path, look)
    _refuse_foreign(path, packed)
    _refuse_taken(engine, packed)
    meter = _Meter("load", checked.done, on_event)

    def pieces() -> Iterator[bytes]:
        with unpacked(path) as stream:
            while data := stream.read(CHUNK):
                meter.add(len(data))
                yield data

    done = write_to(plan, pieces(), cancel=cancel)
    if done.returncode:
        raise _failed(engine, "load", done.stderr)
    wanted = {full_name(tag) for one in packed for tag in one.tags}
    ids = {one.id.removeprefix("sha256:") for one in packed}
    found = tuple(
        image
        for image in images(Scope((engine,))).images
        if image.id.removeprefix("sha256:") in ids
        or wanted & {full_name(tag) for tag in image.tags}
    )
    names = ", ".join(image.name for image in found)
    on_event(StageFinished("load", time.monotonic() - began, names))
    return LoadedImages(path=str(path), images=found)


def _refuse_foreign(path: Path, packed: list[Packed]) -> None:
    for one in packed:
        if one.labels.get(MANAGED) != "image":
            raise InputError(
                f"{path} holds {', '.join(one.tags) or one.id[:19]}, which ipydock did not make "
                f"(it has no label {MANAGED}), so nothing was loaded.",
                hint="`ipydock load` takes what `ipydock save` wrote; for anything else there is "
                "`docker load` or `podman load`.",
            )


def _refuse_taken(engine: Engine, packed: list[Packed]) -> None:
    """Loading gives an image its names, and takes them away from what has them now."""
    ours = {full_name(tag) for image in engine.objects.images() for tag in image.tags}
    for one in packed:
        for tag in one.tags:
            if full_name(tag) not in ours and engine.objects.other(tag) == "image":
                raise InputError(
                    f"The archive would take the name {tag} from an image here that is not "
                    "ipydock's, so nothing was loaded.",
                    hint="Give that image another name first.",
                )


def _failed(engine: Engine, verb: str, stderr: str) -> EngineError:
    lines = [line.strip() for line in clean(stderr).splitlines() if line.strip()]
    return EngineError(
        f"`{engine.name} {verb}` failed: {lines[-1][:300] if lines else 'no message'}",
        hint="Is there room on the engine's disk? `ipydock doctor` tells more.",
        evidence=clean(stderr),
    )
