"""Which files are not the notebook's own: standard library only, as the probe.

A cell that imports a library opens its files, the interpreter's and the system's settings. None of
them is data of the notebook; what it needs of them comes with the packages.
"""
# Paths are compared as text here, links unresolved:
# ruff: noqa: PTH100, PTH109, PTH111, PTH118, PTH120

from __future__ import annotations

import os
import site
import sys
import sysconfig
from typing import Any

# What is the machine's: its state, settings and libraries.
SYSTEM = (
    "/proc/", "/sys/", "/dev/", "/run/", "/var/run/", "/var/cache/", "/var/lib/", "/etc/", "/lib/",
    "/lib64/", "/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/lib64/",
    "/usr/libexec/", "/usr/include/", "/usr/local/bin/", "/usr/local/lib/", "/usr/local/include/",
    "/usr/share/fonts/", "/usr/local/share/fonts/", "/usr/share/fontconfig/", "/usr/share/locale/",
    "/usr/share/zoneinfo/", "/usr/share/mime/", "/usr/share/ca-certificates/", "/usr/share/X11/",
    "/usr/share/poppler/", "/usr/share/ghostscript/", "/usr/share/terminfo/", "/usr/share/icons/",
    "/System/", "/Library/", "/opt/homebrew/", "/private/etc/", "/private/var/db/",
)  # fmt: skip
# Folders of an interpreter's prefix, which may itself be the folder that a notebook lies in.
OF_PREFIX = ("bin", "lib", "lib64", "libexec", "include", "share", "etc", "ssl", "conda-meta",
             "var", "Lib", "DLLs", "Scripts", "Library", "pyvenv.cfg")  # fmt: skip
# What libraries and Jupyter keep for themselves, under the user's home.
OF_HOME = (".cache", ".config", ".ipython", ".jupyter", ".local", ".matplotlib", ".fonts",
           ".fontconfig", ".fonts.conf", ".pyenv", ".conda", ".condarc", ".mplconfig", ".npm",
           ".python_history", ".nv", "Library")  # fmt: skip
# ... and what is data in there all the same: files that a loader downloaded for the notebook.
DATASETS = (
    ".cache/huggingface", ".cache/torch", ".cache/seaborn", ".cache/kagglehub", ".cache/openml",
    ".cache/tensorflow", ".cache/keras", ".cache/sklearn", ".local/share/nltk_data",
)  # fmt: skip
SETTINGS = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR",
            "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR",
            "NUMBA_CACHE_DIR", "PYTHONPYCACHEPREFIX", "PIP_CACHE_DIR", "UV_CACHE_DIR")  # fmt: skip
SITE = ("/site-packages/", "/dist-packages/", "/__pycache__/")
ENDS = (".pyc", ".pyo", ".pth", ".so", ".pyd", ".dylib")


class Ignored:
    """Tells of an absolute path whether it is left out of what a notebook used.

    Args:
        folders: what is in one of these, which end with a slash, is ignored.
        kept: ... unless it is in one of these, of which the longest fit decides.
    """

    def __init__(self, folders: tuple[str, ...], kept: tuple[str, ...]) -> None:
        self.folders = folders
        self.kept = kept

    def __call__(self, path: str) -> bool:
        """Whether this file is not the notebook's."""
        path = path.replace(os.sep, "/")
        if any(part in path for part in SITE) or path.endswith(ENDS):
            return True
        folder = path + "/"  # so that a folder itself is told too
        return folder.startswith(self.folders) and _longest(folder, self.folders) > _longest(
            folder, self.kept
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON form: the arguments by name."""
        return {"folders": list(self.folders), "kept": list(self.kept)}

    @classmethod
    def here(cls) -> Ignored:
        """For this interpreter, user and machine; the current folder is kept."""
        home = os.path.expanduser("~")
        folders = {path for path in sysconfig.get_paths().values() if path}
        folders.discard(sys.prefix)  # sysconfig's "data"
        folders.update(site.getsitepackages() if hasattr(site, "getsitepackages") else ())
        for prefix in {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix}:
            if prefix not in ("/usr", "/usr/local", "/"):
                folders.update(os.path.join(prefix, name) for name in OF_PREFIX)
        folders.update(os.path.join(home, name) for name in OF_HOME)
        folders.update(os.environ.get(name) or "/proc" for name in SETTINGS)
        ours = getattr(sys.modules.get("ipydock"), "__file__", None)
        if ours:  # where it is installed in editable form
            folders.add(os.path.dirname(ours))
        kept = [os.path.join(home, name) for name in DATASETS]
        here = os.getcwd()
        # A notebook may lie in a folder that is ignored otherwise, such as one in ~/.local.
        if here not in ("/", home) and not here.startswith(SYSTEM):
            kept.append(here)
        return cls(
            tuple(sorted({*map(_folder, folders), *SYSTEM})), tuple(sorted(map(_folder, kept)))
        )


def _longest(path: str, starts: tuple[str, ...]) -> int:
    return max((len(start) for start in starts if path.startswith(start)), default=0)


def _folder(path: str) -> str:
    return os.path.abspath(path).replace(os.sep, "/").rstrip("/") + "/"
