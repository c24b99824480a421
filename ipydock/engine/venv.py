"""No container at all: a fresh uv environment, an empty folder and a scrubbed environment.

For machines without a container engine. It shows what is missing from the list of packages and
files, and nothing about system packages; the notebook can reach the host and its network.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import BuildError, DiskFull, EngineError, InputError
from ..events import OnEvent, Warned
from ..hosts import cache_folder
from ..layout import DATA, NOTEBOOK, PROJECT
from ..models import Image, Limits, Recipe
from ..network.indexes import indexes
from ..process import Cancellation, ProcessPlan, run
from .buildlog import BuildLog
from .containers import ended
from .interface import NO_SECRETS, Capability, EngineInfo
from .venv_objects import VenvObjects
from .venv_steps import Step, steps

WEAKER = (
    "Without a container this is weaker: system packages are this machine's, and the notebook can "
    "reach this machine's files and network."
)
_COMPLETE = "recipe.json"  # written last: an environment without it was cut short


class VenvEngine:
    """Environments under ipydock's cache folder, one per recipe."""

    name = "venv"

    def info(self) -> EngineInfo:
        """Say what this engine is."""
        done = run(ProcessPlan((_uv(), "--version")), timeout=20)
        return EngineInfo(
            name=self.name,
            version=done.stdout.strip(),
            address=str(_environments()),
            isolation=WEAKER,
        )

    def capabilities(self) -> tuple[Capability, ...]:
        """What it can do."""
        return (
            Capability("build", able=True, says="environments by uv, without system packages"),
            Capability("isolation", able=False, says="none", mend="Install Docker or Podman."),
        )

    @property
    def other_host(self) -> str:
        """Empty: it is this machine."""
        return ""

    @property
    def identity(self) -> str:
        """There is one."""
        return self.name

    @property
    def objects(self) -> VenvObjects:
        """Its environments."""
        return VenvObjects(_environments(), _COMPLETE)

    def resolve(self, base: str, *, cancel: Cancellation | None = None) -> str:
        """The base as it is: there is no image to look up, and none is used."""
        del cancel
        return base

    def can_build(self) -> None:
        """It can: uv came with ipydock."""

    def find(self, recipe: Recipe) -> Image | None:
        """The environment of this recipe, if it is complete."""
        home = _environments() / recipe.digest[:24]
        if not (home / _COMPLETE).is_file():
            return None
        return self._image(recipe, home, cached=True, seconds=0.0)

    def tag(self, image: Image, tag: str) -> Image:
        """An environment has no names but its own."""
        del tag
        return image

    def inspect(self, reference: str) -> Image:
        """An environment by its tag or folder."""
        for done in sorted(_environments().glob(f"*/{_COMPLETE}")):
            recipe = Recipe.model_validate_json(done.read_text(encoding="utf-8"))
            if reference in (recipe.tag, str(done.parent)):
                return self._image(recipe, done.parent, cached=True, seconds=0.0)
        raise InputError(
            f"There is no environment {reference}.",
            hint="Make it first: ipydock build NOTEBOOK --engine venv.",
        )

    def build(
        self,
        recipe: Recipe,
        context: Path,
        *,
        tag: str | None = None,
        no_cache: bool = False,
        pull: bool = False,
        secrets: Mapping[str, Path] = NO_SECRETS,
        on_event: OnEvent,
        cancel: Cancellation | None = None,
    ) -> Image:
        """Make the environment and keep the context beside it, from which each rerun starts."""
        del tag, pull, secrets  # uv here asks the user's own settings for credentials
        if recipe.platform:
            raise InputError(
                "The venv engine builds for this machine only.",
                hint="Leave --platform out, or use a container engine.",
            )
        with _locked(_environments() / f"{recipe.digest[:24]}.lock"):
            # Another run may have made it while this one waited.
            found = None if no_cache else self.find(recipe)
            return found or self._build(recipe, context, no_cache, on_event, cancel)

    def _build(
        self,
        recipe: Recipe,
        context: Path,
        no_cache: bool,
        on_event: OnEvent,
        cancel: Cancellation | None,
    ) -> Image:
        began = time.monotonic()
        absolute = [file.path for file in recipe.files if file.path.startswith("/")]
        if absolute or not recipe.workdir.startswith("/work"):
            names = ", ".join(absolute) or recipe.workdir
            text = f"With this engine absolute paths are this machine's: {names}."
            on_event(Warned("build", text))
        if recipe.apt:
            names = ", ".join(package.name for package in recipe.apt)
            on_event(Warned("build", f"System packages are not installed by this engine: {names}."))
        home = _environments() / recipe.digest[:24]
        log_path = cache_folder() / "logs" / f"{recipe.digest[:12]}-{uuid.uuid4().hex[:6]}.log"
        try:
            _remove(home)
            shutil.copytree(context, home / "context")
            with BuildLog(log_path, on_event) as log:
                environment = indexes().unlocked().environment()
                planned = self._steps(recipe, home, no_cache)
                for number, step in enumerate(planned, 1):
                    log.line(f"STEP {number}/{len(planned)}: {' '.join(step.argv[1:3])}")
                    plan = ProcessPlan(step.argv, env={**environment, **step.env}, cwd=home)
                    if run(plan, on_line=log.line, cancel=cancel).returncode:
                        raise _explain(log, recipe)
                log.line(f"STEP {len(planned)}/{len(planned)}: done")
            (home / _COMPLETE).write_text(recipe.model_dump_json(), encoding="utf-8")
        except OSError as error:
            _remove(home)
            raise _unwritable(home, error) from error
        except BaseException:
            _remove(home)
            raise
        image = self._image(recipe, home, cached=False, seconds=time.monotonic() - began)
        return image.model_copy(update={"log": str(log_path)})

    def _steps(self, recipe: Recipe, home: Path, no_cache: bool) -> list[Step]:
        # This interpreter if it fits, else whatever uv finds or can download.
        ours = f"{sys.version_info.major}.{sys.version_info.minor}" == recipe.python.series
        base = sys.executable if ours else recipe.python.series
        return steps(recipe, uv=_uv(), base=base, python=str(_python(home)), no_cache=no_cache)

    def _image(self, recipe: Recipe, home: Path, *, cached: bool, seconds: float) -> Image:
        return Image(
            id=str(home),
            tag=recipe.tag,
            engine=self.name,
            recipe=recipe.digest,
            size_bytes=_size(home),
            cached=cached,
            seconds=seconds,
        )

    def kernel(self, image: Image, *, command: tuple[str, ...], limits: Limits) -> VenvKernel:
        """Prepare a kernel in a new folder that holds the project files and the notebook."""
        home = Path(image.id)
        if limits.mounts:
            raise InputError(
                "The venv engine has no mounts; the notebook sees this machine's files.",
                hint="Leave --mount out, or use a container engine.",
            )
        recipe = Recipe.model_validate_json((home / _COMPLETE).read_text(encoding="utf-8"))
        scratch = Path(tempfile.mkdtemp(prefix="ipydock-rerun-"))
        work, user = scratch / "work", scratch / "home"
        folder = work / recipe.folder
        try:
            user.mkdir()
            folder.mkdir(parents=True)
            for part, place in ((DATA, work), (PROJECT, work), (NOTEBOOK, folder)):
                if (home / "context" / part).is_dir():
                    shutil.copytree(home / "context" / part, place, dirs_exist_ok=True)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        environment = {
            "PATH": os.pathsep.join(
                (str(_python(home).parent), "/usr/local/bin", "/usr/bin", "/bin")
            ),
            "HOME": str(user),
            "TMPDIR": str(scratch),
            "LANG": "C.UTF-8",
            "VIRTUAL_ENV": str(home / "env"),
            **{
                name: value.replace(recipe.workdir, str(folder)) if name == "PYTHONPATH" else value
                for name, value in recipe.env
            },
        }
        argv = (str(_python(home)) if command[0] == "python3" else command[0], *command[1:])
        return VenvKernel(ProcessPlan(argv, env=environment, cwd=folder), scratch)


class VenvKernel:
    """A process with a folder of its own, removed with it."""

    def __init__(self, plan: ProcessPlan, scratch: Path) -> None:
        self.plan = plan
        self.name = scratch.name
        self._scratch = scratch

    def why_ended(self, returncode: int | None) -> str:
        """Say by which signal or exit code it ended."""
        return ended(returncode)

    def remove(self) -> None:
        """Remove the folder; the process is ended by whoever started it."""
        shutil.rmtree(self._scratch, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two runs of one recipe do not make its environment at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w")
    except OSError as error:
        raise _unwritable(path.parent, error) from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _unwritable(home: Path, error: OSError) -> DiskFull:
    return DiskFull(
        f"The environment cannot be written to {home}: {error.strerror}.",
        hint="Free some space, or set IPYDOCK_CACHE_DIR to a folder that has it.",
    )


def _environments() -> Path:
    return cache_folder() / "environments"


def _python(home: Path) -> Path:
    return home / "env" / "bin" / "python"


def _uv() -> str:
    import uv

    return uv.find_uv_bin()


def _remove(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    if home.exists():
        raise EngineError(f"{home} cannot be removed.", hint="Remove it by hand.")


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*"))


def _explain(log: BuildLog, recipe: Recipe) -> Exception:
    text = log.path.read_text(encoding="utf-8")
    if "No interpreter found" in text or "python-build-standalone" in text:
        return BuildError(
            f"There is no Python {recipe.python.series} on this machine for the environment.",
            hint=f"Install it (for example with `uv python install {recipe.python.series}`), or "
            f"capture with another --python; this is Python {sys.version.split()[0]}.",
        )
    return log.failure()
