"""The ordered layers of an image, from what changes least to what changes most."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..files import CONTEXT_HEADING
from ..layout import NOTEBOOK, PROJECT, ROOT
from ..models import ContextFile, Package, SystemPackage
from .instructions import Comment, Copy, Dockerfile, Exec, From, Pairs, Run, Simple

# The uv that installs the packages in the image; a constant, so that the same capture gives the
# same bytes whatever uv the host has.
UV_VERSION = "0.13.9"
UID = 1000
WORKDIR = "/work"
HOME = "/home/user"

# Where the host's certificate authorities go during a RUN that downloads. Where the build is not
# given the secret nothing is mounted, and the image's own file is used.
CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
CA_SECRET = f"type=secret,id=ca,target={CA_FILE}"

_LISTED = 20  # file names written out in a comment; the rest is counted


@dataclass(frozen=True, slots=True)
class Layers:
    """What goes into an image. All names were checked or will be quoted."""

    notebook: str
    base: str
    authors: Sequence[str]
    apt: Sequence[SystemPackage]
    packages: Sequence[Package]
    env: Sequence[tuple[str, str]]
    files: Sequence[ContextFile]
    workdir: str = WORKDIR
    folder: str = ""

    def dockerfile(self) -> Dockerfile:
        """The Dockerfile, each line with its reason."""
        out = Dockerfile()
        out.add(
            Comment(
                (
                    f"{CONTEXT_HEADING[2:]}{self.notebook} needs, as captured by ipydock.",
                    "Build it with:",
                    "  docker build -t NAME .",
                    "Behind a network that intercepts TLS add the file of its authorities:",
                    f"  --secret id=ca,src={CA_FILE}",
                )
            )
        )
        out.add(*self._uv())
        out.add(From(self.base))
        if self.apt:
            out.add(*self._system())
        out.add(*self._python())
        out.add(*self._user())
        if self.files:
            out.add(*self._project())
        # Here and not at the top, so that notebooks with the same packages share their layers.
        out.add(self._labels())
        out.add(
            Comment(("The notebook, without outputs; it changes most often.",)),
            Copy(f"{NOTEBOOK}/", "./", f"{UID}:0"),
            Exec("CMD", ("ipython", "--colors=NoColor", f"./{self.notebook}")),
        )
        return out

    def _uv(self) -> tuple[Comment, From, Run]:
        return (
            Comment(("uv installs the packages below; it does not stay in the image.",)),
            From(self.base, "uv"),
            Run(
                (
                    f"PIP_CERT={CA_FILE} pip install --no-cache-dir --no-compile \\\n"
                    f"      --target=/opt/uv uv=={UV_VERSION}",
                ),
                mounts=(CA_SECRET,),
            ),
        )

    def _labels(self) -> Pairs:
        pairs = [("org.opencontainers.image.title", self.notebook)]
        if self.authors:
            pairs.append(("org.opencontainers.image.authors", ", ".join(self.authors)))
        return Pairs("LABEL", tuple(pairs))

    def _system(self) -> tuple[Comment, Comment, Run]:
        names = " \\\n      ".join(package.name for package in self.apt)
        return (
            Comment(("System packages:", *_aligned((p.name, p.reason) for p in self.apt))),
            # The versions of a stable release move only for security fixes, and old ones vanish
            # from the mirrors: pinning them would break the build, not repeat it.
            Comment(("hadolint ignore=DL3008",)),
            Run(
                (
                    "apt-get update",
                    f"apt-get install -y --no-install-recommends \\\n      {names}",
                    "rm -rf /var/lib/apt/lists/*",
                ),
                mounts=(CA_SECRET,),
            ),
        )

    def _python(self) -> tuple[Comment, Run]:
        lines = _aligned((f"{p.name}=={p.version}", p.reason) for p in self.packages)
        return (
            Comment(
                ("Python packages; requirements.lock pins these and all that they need:", *lines)
            ),
            Run(
                (
                    "UV_LINK_MODE=copy /opt/uv/bin/uv pip install --system --system-certs \\\n"
                    "      --break-system-packages --compile-bytecode \\\n"
                    "      --require-hashes -r /tmp/requirements.lock",
                ),
                mounts=(
                    CA_SECRET,
                    "type=cache,target=/root/.cache/uv",
                    "type=bind,from=uv,source=/opt/uv,target=/opt/uv",
                    "type=bind,source=requirements.lock,target=/tmp/requirements.lock",
                ),
            ),
        )

    def _user(self) -> tuple[Comment | Run | Pairs | Simple, ...]:
        folders = " ".join(shlex.quote(path) for path in (HOME, *self._writable()))
        return (
            Comment(("Runs as any user: every uid may write to the home and the work folder.",)),
            Run(
                (
                    f"useradd --uid {UID} --no-log-init --create-home --home-dir {HOME} user",
                    f"install -d -o {UID} -m 0777 {folders}",
                )
            ),
            Pairs("ENV", (("HOME", HOME), *self.env)),
            Simple("WORKDIR", self.workdir),
            Simple("USER", f"{UID}"),
        )

    def _writable(self) -> list[str]:
        """The work folder, and those above it that the project's files are laid out in."""
        path, folders = self.workdir, [self.workdir]
        for _ in self.folder.split("/") if self.folder else ():
            path = path.rpartition("/")[0]
            if self.workdir.startswith(f"{WORKDIR}/"):
                folders.insert(0, path)
        return folders

    def _project(self) -> tuple[Comment | Copy, ...]:
        names = [f"  {file.path}" for file in self.files[:_LISTED]]
        if (more := len(self.files) - _LISTED) > 0:
            names.append(f"  and {more} more")
        up = "../" * (self.folder.count("/") + 1) if self.folder else "./"
        copies = (Copy(f"{PROJECT}/", up, f"{UID}:0"), Copy(f"{ROOT}/", "/", f"{UID}:0"))
        kinds = {file.path.startswith("/") for file in self.files}
        return (
            Comment(("Local modules and data files that the notebook uses:", *names)),
            *(copies[kind] for kind in sorted(kinds)),
        )


def _aligned(rows: Iterable[tuple[str, str]]) -> list[str]:
    pairs = list(rows)
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"  {name:<{width}}  {reason}".rstrip() for name, reason in pairs]
