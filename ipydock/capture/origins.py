"""Where a distribution was installed from, as something that can be installed elsewhere.

PEP 610 keeps the direct URL of what came from no index: an archive, a repository, a folder. A
folder is of use on one machine only, unless it is a checkout of something that is published: then
its repository and commit stand for it. Versions with a local part (``2.4.0+cpu``) are on no PyPI;
PEP 610 does not say which index they came from, a table here does for those that are known.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from .. import process
from ..notebook_v4 import printable
from .findings import words

PATIENCE = 10.0  # seconds for one git command
VCS = ("git", "hg", "svn", "bzr")  # that PEP 610 knows
LOCAL = ("local", "worktree")  # scopes of git's settings that a repository brings
COMMIT = re.compile(r"\w[\w.:@-]{0,99}")  # of any of these systems
MOST_FILTERS = 50  # whose names go into a command
# What says which settings are the user's.
KEPT = frozenset({"GIT_EXEC_PATH", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"})
SCP = re.compile(r"(?:([A-Za-z0-9_.-]+)@)?([A-Za-z0-9.-]+):(?!/)(.+)")  # git@host:owner/repo.git


@dataclass(frozen=True, slots=True)
class Origin:
    """A URL that pip understands; ``reason`` says why it is of no use elsewhere, None if it is."""

    url: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Extra:
    """Versions that have an index of their own, or a page of links (``--find-links``).

    ``local`` is what their local version looks like, its groups fill ``index`` or ``links``.
    """

    names: frozenset[str]
    local: re.Pattern[str]
    index: str = ""
    links: str = ""


_TORCH = words(
    """
    torch torchvision torchaudio torchtext torchdata torchao torchrl torchtune functorch triton
    pytorch-triton pytorch-triton-rocm fbgemm-gpu xformers
    """
)
_PYG = words("pyg-lib torch-scatter torch-sparse torch-cluster torch-spline-conv")

# Sources: the projects' installation pages (pytorch.org "Previous versions"; PyG "Installation";
# JAX "Installing JAX"; DGL "Install"; AutoGPTQ "Installation"), as of 2026.
EXTRAS = (
    Extra(
        _TORCH,
        re.compile(r"(cpu|xpu|cu\d{2,3}|rocm\d+(?:\.\d+)+)(?:[.-].*)?"),
        index="https://download.pytorch.org/whl/{0}",
    ),
    Extra(
        _PYG,
        re.compile(r"pt(\d)(\d+)(cpu|cu\d{2,3})"),
        links="https://data.pyg.org/whl/torch-{0}.{1}.0+{2}.html",
    ),
    Extra(
        frozenset({"jax", "jaxlib"}),
        re.compile(r"cuda\d+(?:[.-].*)?"),
        links="https://storage.googleapis.com/jax-releases/jax_cuda_releases.html",
    ),
    Extra(
        frozenset({"dgl"}),
        re.compile(r"(cu\d{2,3})"),
        links="https://data.dgl.ai/wheels/{0}/repo.html",
    ),
    Extra(
        frozenset({"auto-gptq"}),
        re.compile(r"(cu\d{2,3}|rocm\d+)(?:[.-].*)?"),
        index="https://huggingface.github.io/autogptq-index/whl/{0}/",
    ),
)


def index_of(name: str, version: str) -> tuple[str | None, str | None]:
    """The extra index of a version, and a warning if it has a local part and no index is known.

    Args:
        name: canonical name of a distribution that came from no direct URL.
        version: its version; only ``1.0+local`` has an index of its own.
    """
    public, plus, local = version.partition("+")
    if not plus:
        return None, None
    for extra in EXTRAS:
        match = extra.local.fullmatch(local) if name in extra.names else None
        if match and extra.index:
            return extra.index.format(*match.groups()), None
        if match:
            page = extra.links.format(*match.groups())
            return None, (
                f"{name} {version} is not on PyPI but on {page}, which is a page of links and no "
                f"index; add the wheel's address from there with --add-pip '{name} @ URL', or "
                f"take the version of PyPI with --add-pip {name}=={public}."
            )
    return None, (
        f"{name} {version} is not on PyPI: +{local} marks a build of its own, and it is not known "
        f"where it came from; add its address with --add-pip '{name} @ URL', or take the "
        f"version of PyPI with --add-pip {name}=={public}."
    )


def origin(info: Mapping[str, Any] | None, folder: str) -> Origin | None:
    """PEP 610 as one URL, None for what came from an index.

    Credentials are left out. What lies on this machine is relative to ``folder``, the notebook's:
    ``file:../lib``, with ``#editable`` at the end of an editable install.
    """
    url = info.get("url") if info else None
    if not info or not isinstance(url, str):
        return None
    parts = urlsplit(url)
    vcs = info.get("vcs_info")
    subdirectory = info.get("subdirectory")
    inner = subdirectory if isinstance(subdirectory, str) and "\0" not in subdirectory else ""
    if parts.scheme == "file":
        path = unquote(parts.path)
        if isinstance(vcs, dict):
            return _local_repository(path, _commit(vcs), inner, folder)
        if "archive_info" in info:
            name = _relative(path, folder)
            return Origin(f"file:{name}", "it is a file on this machine")
        editable = bool((info.get("dir_info") or {}).get("editable"))
        return _local_folder(str(Path(path, inner)), folder, editable)
    clean = without_credentials(url)
    if isinstance(vcs, dict):
        kind = vcs.get("vcs")
        return _repository(kind if kind in VCS else "git", clean, _commit(vcs), inner)
    digest = (info.get("archive_info") or {}).get("hash")
    fragment = f"subdirectory={inner}" if inner else digest if isinstance(digest, str) else ""
    return Origin(printable(clean + (f"#{fragment}" if fragment else "")))


def listed(path: str) -> list[str] | None:
    """The files below a folder that git has or would take, relative to it; None if it has none.

    Submodules are asked one by one, as another git in each would read the settings there.
    """
    told = git(path, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ".")
    found: list[str] = []
    for name in (told or "").split("\0"):
        inner = Path(path, name)
        if name and inner.is_dir() and not inner.is_symlink():
            more = listed(str(inner)) if (inner / ".git").exists() else None
            found += (f"{name.rstrip('/')}/{one}" for one in more or ())
        elif name:
            found.append(name)
    return sorted(set(found)) or None


def _commit(vcs: Mapping[str, Any]) -> str:
    """The revision that was installed, empty if the record has none."""
    commit = vcs.get("commit_id")
    return commit if isinstance(commit, str) and COMMIT.fullmatch(commit) else ""


def without_credentials(url: str) -> str:
    """A URL without user, password and fragment; the user of ssh stays, it is no secret."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    keep = user.partition(":")[0] + "@" if "ssh" in parts.scheme and user else ""
    if parts.netloc.startswith("git@"):
        keep = "git@"
    return urlunsplit((parts.scheme, keep + host, parts.path, parts.query, ""))


def _repository(kind: str, url: str, commit: str, inner: str) -> Origin:
    fragment = f"#subdirectory={inner}" if inner else ""
    at = f"@{commit}" if commit else ""
    return Origin(printable(f"{kind}+{url}{at}{fragment}"))


def _local_folder(path: str, folder: str, editable: bool) -> Origin:
    """A folder: its published commit if it is one, else where it lies and why that will not do."""
    published = _published(path)
    if isinstance(published, Origin):
        return published
    return Origin(f"file:{_relative(path, folder)}{'#editable' if editable else ''}", published)


def _local_repository(path: str, commit: str, inner: str, folder: str) -> Origin:
    """A repository on this machine: the one it was cloned from, if that has the commit too."""
    remote = _remote(path, commit) if re.fullmatch(r"[0-9a-fA-F]{7,64}", commit) else None
    if remote is not None:
        return _repository("git", remote, commit, inner)
    fragment = f"#subdirectory={inner}" if inner else ""
    where = _relative(path, folder)
    reason = "its repository is a folder on this machine, and that commit is on none of its remotes"
    return Origin(printable(f"git+file:{where}@{commit}{fragment}"), reason)


def _published(path: str) -> Origin | str:
    """The commit that a folder is a clean checkout of, if a remote has it, else why not."""
    if not Path(path).is_dir():
        return "the folder is not there any more"
    top = git(path, "rev-parse", "--show-toplevel")
    if top is None:
        return "it is a folder on this machine, in no git repository"
    if _is_changed(path):
        return "it is a folder with changes that are not committed"
    commit = git(path, "rev-parse", "HEAD")
    if commit is None:
        return "its git repository has no commit"
    remote = _remote(path, commit)
    if remote is None:
        return "its commit is on no remote that other machines reach; push it"
    inner = os.path.relpath(os.path.realpath(path), os.path.realpath(top)).replace(os.sep, "/")
    return _repository("git", remote, commit, "" if inner == "." else inner)


def _remote(path: str, commit: str) -> str | None:
    """The URL of a remote of which a branch here has the commit, without credentials."""
    branches = git(
        path, "for-each-ref", "--format=%(refname)", "--contains", commit, "refs/remotes"
    )
    names = [branch.split("/")[2] for branch in (branches or "").split()]
    for name in sorted(set(names), key=lambda name: (name != "origin", name)):
        url = git(path, "config", "--get", f"remote.{name}.url")
        found = reachable(url) if url else None
        if found is not None:
            return found
    return None


def reachable(url: str) -> str | None:
    """A remote's URL as pip takes it, None if it is a path of this machine."""
    if urlsplit(url).scheme in ("https", "http", "ssh", "git"):
        return without_credentials(url)
    match = SCP.fullmatch(url)
    if match and len(match[2]) > 1:
        user = f"{match[1]}@" if match[1] else ""
        return f"ssh://{user}{match[2]}/{match[3]}"
    return None


def _is_changed(path: str) -> bool:
    """Whether a checkout has changes; where that cannot be told safely, it is taken to have some.

    To compare files, git runs the filters that the repository's own settings name, and in each
    submodule another git that reads the settings there: both are programs of somebody else's. The
    filters are switched off, those of the user's own settings (git-lfs) are not; submodules are
    asked one by one.
    """
    pattern = r"^filter\..*\.(clean|smudge|process|required)$"
    filters = _run(path, "config", "--show-scope", "--name-only", "-z", "--get-regexp", pattern)
    if filters is None or filters.returncode not in (0, 1):  # 1: there are none
        return True
    told = filters.stdout.split("\0")
    own = [name for scope, name in zip(told[::2], told[1::2], strict=False) if scope in LOCAL]
    if len(own) > MOST_FILTERS or any("=" in name for name in own):
        return True
    off = [f"{name}={'false' if name.endswith('.required') else ''}" for name in own]
    status = ("status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=dirty")
    if git(path, *status, "--", ".", settings=off) != "":
        return True
    listed = git(path, "ls-files", "--stage", "-z", "--", ".")
    if listed is None:
        return True
    submodules = [
        str(Path(path, line.partition("\t")[2]))
        for line in listed.split("\0")
        if line.startswith("160000 ")
    ]
    # A submodule that was not checked out has nothing in it, and git would ask the one above.
    return any(Path(inner, ".git").exists() and _is_changed(inner) for inner in submodules)


def git(path: str, *words: str, settings: Iterable[str] = ()) -> str | None:
    """What a git command says, None if it fails or there is no git."""
    done = _run(path, *words, settings=settings)
    return done.stdout.strip() if done is not None and done.returncode == 0 else None


def _run(path: str, *words: str, settings: Iterable[str] = ()) -> process.Completed | None:
    """A git command that runs nothing which the repository's settings name, and fetches nothing."""
    safe = ("core.fsmonitor=false", f"core.hooksPath={os.devnull}", *settings)
    options = [word for setting in safe for word in ("-c", setting)]
    argv = ("git", "--no-optional-locks", *options, "-C", path, *words)
    # Others of git's variables are set where one of its hooks runs us, and name another repository.
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in KEPT}
    # A partial clone fetches what it misses, by whatever its settings say.
    env |= {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
    env |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        return process.run(process.ProcessPlan(argv, env=env), timeout=PATIENCE)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def _relative(path: str, folder: str) -> str:
    return printable(os.path.relpath(path, folder).replace(os.sep, "/"))
