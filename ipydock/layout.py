"""Where the files around a notebook lie in a build context and in an image.

The image mirrors the real layout. A path is relative to the notebook's folder (``data/x.csv``,
``../data/x.csv``) or absolute (``/data/x.csv``). What is relative goes to the context's
``project/`` if it is code, else to ``data/``, so that editing a module does not copy the data
again. Where files lie above the notebook's folder, both also hold the last names of that folder
(``folder``), so that ``..`` leads to them from there. What is absolute goes to ``root/``, which is
copied to the image's root. What the user's own ``COPY`` takes lies in ``copied/``, and the sources
of packages in ``packages/``. What ``--vendor`` downloads is in ``wheels/``.
"""

from __future__ import annotations

import posixpath
from fnmatch import fnmatch

PROJECT = "project"
DATA = "data"
NOTEBOOK = "notebook"
ROOT = "root"
COPIED = "copied"
SCRIPTS = "scripts"
PACKAGES = "packages"
WHEELS = "wheels"
SDISTS = "sdists.lock"

# Folders of the system, of its packages, and those that a container has anew in every run
# (Filesystem Hierarchy Standard 3.0, chapters 3 to 6). No file is put there.
SYSTEM_FOLDERS = frozenset(
    {"bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "root", "run", "sbin"}
    | {"sys", "tmp", "usr", "var"}
)


def levels(path: str) -> int:
    """How many folders above the notebook's a relative path (normalised) starts."""
    return next((n for n, part in enumerate(path.split("/")) if part != ".."), path.count("/") + 1)


def is_system(path: str) -> bool:
    """Whether an absolute path (normalised) is one where an image has its own files."""
    first = path.lstrip("/").partition("/")[0]
    return not first or (first in SYSTEM_FOLDERS and not path.startswith("/var/data/"))


def above(folder: str, count: int) -> str:
    """The last ``count`` names of a folder's path, as a relative path; empty for none."""
    return "/".join(folder.strip("/").split("/")[-count:]) if count else ""


def in_context(path: str, folder: str, *, is_code: bool) -> str:
    """Where a file goes in the build context; ``folder`` is the notebook's below ``project/``."""
    if path.startswith("/"):
        return ROOT + posixpath.normpath(path)
    top = PROJECT if is_code else DATA
    return f"{top}/{posixpath.normpath(posixpath.join(folder, path))}"


def is_meant(path: str, pattern: str) -> bool:
    """Whether a pattern means a file; the name of a folder means all that is in it."""
    return fnmatch(path, pattern) or path.startswith(f"{pattern.rstrip('/')}/")
