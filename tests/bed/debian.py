"""A Debian root file system like the official image's: made by mmdebstrap, added to by apt."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from .packages import KEYRING
from .process import SYSTEM_PATH, program, run
from .state import BedError

SUITE = "bookworm"
# What files may be newer than is set to this time, so that the same packages make the same digest.
EPOCH = 1_700_000_000

_MIRROR = "http://deb.debian.org/debian"
_MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
_MEND = (
    "the Debian package mirror has to be reachable from here, directly or through the proxy that"
    " apt is set to use; `apt-get update` shows whether it is. Then run it again."
)

# What the libraries of python:X.Y-slim are, those that a CPython built on Debian links to.
PYTHON_NEEDS = (
    "ca-certificates",
    "netbase",
    "libbz2-1.0",
    "libdb5.3",
    "libexpat1",
    "libffi8",
    "libgdbm6",
    "liblzma5",
    "libncursesw6",
    "libnsl2",
    "libreadline8",
    "libsqlite3-0",
    "libssl3",
    "libtirpc3",
    "libuuid1",
    "zlib1g",
)

_SLIM = """\
# This is the "slim" variant of the Debian base image.
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/linda/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-include /usr/share/locale/locale.alias
path-exclude /usr/share/man/*
"""
_CLEAN = "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb"

# Files that the official image adds to what the packages bring. docker-clean matters most: a build
# that keeps apt's archives in a cache mount has to switch it off, here as there.
OFFICIAL_FILES = {
    "etc/apt/sources.list.d/debian.sources": f"""\
Types: deb
URIs: {_MIRROR}
Suites: {SUITE} {SUITE}-updates
Components: main
Signed-By: {KEYRING}

Types: deb
URIs: {_MIRROR}-security
Suites: {SUITE}-security
Components: main
Signed-By: {KEYRING}
""",
    "etc/apt/apt.conf.d/docker-clean": f"""\
DPkg::Post-Invoke {{ "{_CLEAN} /var/cache/apt/*.bin || true"; }};
APT::Update::Post-Invoke {{ "{_CLEAN} /var/cache/apt/*.bin || true"; }};
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
""",
    "etc/apt/apt.conf.d/docker-autoremove-suggests": (
        'Apt::AutoRemove::SuggestsImportant "false";\n'
    ),
    "etc/apt/apt.conf.d/docker-gzip-indexes": 'Acquire::GzipIndexes "true";\n',
    "etc/apt/apt.conf.d/docker-no-languages": 'Acquire::Languages "none";\n',
    "etc/dpkg/dpkg.cfg.d/docker": _SLIM,
    "etc/dpkg/dpkg.cfg.d/docker-apt-speedup": "force-unsafe-io\n",
}


def make_root(root: Path) -> None:
    """Makes the root file system at `root`, with apt's lists in it so that more can be added."""
    options = root.with_name("dpkg.cfg")
    options.write_text(_SLIM + "force-unsafe-io\n")
    sources = root.with_name("sources.list")
    fields = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)"
    targets = run(["apt-get", "indextargets", "--format", fields, "Created-By: Packages"])
    sources.write_text(sources_list(targets))
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=directory"]
    # Made with one /usr from the start: the package that merges it later brings all of Perl.
    command += [f"--hook-dir={_MERGED_USR}", "--include=usr-is-merged,tzdata"]
    # More is to be installed: apt's lists stay.
    command += ["--skip=cleanup/apt", f"--dpkgopt={options}"]
    transport = apt_transport(run(["apt-config", "dump", "Acquire"]))
    command += [f"--aptopt={line}" for line in ('Acquire::Languages "none";', *transport)]
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)}
    run([*command, SUITE, root, sources], env=env, mend=_MEND)


def add(root: Path, packages: Sequence[str]) -> None:
    """Installs packages into a root file system."""
    # Fetched from outside, where proxies, certificates and names are set up, and installed inside.
    apt = ["apt-get", "-qq", "-y", "--no-install-recommends"]
    outside = [f"-oDir={root}", f"-oDir::State::status={root}/var/lib/dpkg/status"]
    outside += ["-oAPT::Sandbox::User=root", "-oAPT::Keep-Downloaded-Packages=true"]
    run([*apt, *outside, "--download-only", "install", *packages], mend=_MEND)
    inside(root, [*apt, "-oDpkg::Use-Pty=0", "--no-download", "install", *packages])


def inside(root: Path, argv: Sequence[str], **env: str) -> str:
    """Runs a command in a root file system with nothing of this machine's environment."""
    chroot = program("chroot")
    if chroot is None:
        raise BedError("There is no chroot command.", mend="install the package coreutils.")
    base = {
        "PATH": SYSTEM_PATH,
        "LANG": "C.UTF-8",
        "HOME": "/root",
        "TMPDIR": "/tmp",
        "DEBIAN_FRONTEND": "noninteractive",
        "SOURCE_DATE_EPOCH": str(EPOCH),
    }
    return run([chroot, root, *argv], env={**base, **env})


def sources_list(targets: str) -> str:
    """The package sources to use, from `URI|release|component` lines of the machine's own.

    The machine's mirrors where they are Debian's for this suite, else the distribution's default.
    """
    lines = []
    for target in targets.splitlines():
        uri, release, component = [*target.split("|"), "", ""][:3]
        official = re.fullmatch(r"https?://\S+/debian(-security)?/?", uri)
        if official and release.split("-")[0] == SUITE and component == "main":
            lines.append(f"deb [signed-by={KEYRING}] {uri} {release} main")
    if not any(f" {SUITE} main" in line for line in lines):
        pairs = [("", SUITE), ("", f"{SUITE}-updates"), ("-security", f"{SUITE}-security")]
        lines = [f"deb [signed-by={KEYRING}] {_MIRROR}{path} {name} main" for path, name in pairs]
    return "\n".join(dict.fromkeys(lines)) + "\n"


def apt_transport(dump: str) -> list[str]:
    """The settings of an `apt-config dump` that say how archives are reached and checked."""
    wanted = re.compile(r'Acquire::(https?|Check)\b\S* "[^"]+";', re.IGNORECASE)
    return [line for line in dump.splitlines() if wanted.fullmatch(line)]
