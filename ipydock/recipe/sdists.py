"""Packages that an index has as source distributions alone: built in a stage of their own.

Compilers and headers stay in that stage. What a built module is linked to must be in the image:
the capture tells where it was installed (`ipydock.capture.libraries`), else the table does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..layout import SCRIPTS, SDISTS
from ..models import SystemPackage
from ..wheelmaking import EPOCH
from .instructions import Comment, From, Instruction, Run
from .local import apt_run
from .mounts import CA_SECRET, SETTINGS, SETTINGS_FILE, SYSTEM, UV

STAGE = "wheels"
_ALWAYS = ("build-essential", "pkg-config")
_RUST = ("cargo", "rustc")

# What building a distribution takes besides a C compiler: packages of Debian 12, named alike in 11
# and 13 and in Ubuntu. Sources: Build-Depends of the Debian source package of the same project, and
# the project's own installation page.
_HEADERS = {
    "cartopy": ("libgeos-dev", "libproj-dev"),
    "cffi": ("libffi-dev",),
    "cryptography": ("libssl-dev", *_RUST),
    "cvxopt": ("libblas-dev", "liblapack-dev", "libsuitesparse-dev"),
    "dbus-python": ("libdbus-1-dev", "libglib2.0-dev"),
    "fiona": ("libgdal-dev",),
    "gdal": ("libgdal-dev",),
    "gmpy2": ("libgmp-dev", "libmpc-dev", "libmpfr-dev"),
    "gssapi": ("libkrb5-dev",),
    "h5py": ("libhdf5-dev",),
    "kerberos": ("libkrb5-dev",),
    "lxml": ("libxml2-dev", "libxslt1-dev", "zlib1g-dev"),
    "m2crypto": ("libssl-dev", "swig"),
    "mpi4py": ("libopenmpi-dev",),
    "mysqlclient": ("default-libmysqlclient-dev",),
    "netcdf4": ("libhdf5-dev", "libnetcdf-dev"),
    "numpy": ("gfortran", "libopenblas-dev"),
    "orjson": _RUST,
    "pillow": ("libfreetype-dev", "libjpeg-dev", "libtiff-dev", "zlib1g-dev"),
    "plyvel": ("libleveldb-dev",),
    "psycopg-c": ("libpq-dev",),
    "psycopg2": ("libpq-dev",),
    "pyaudio": ("portaudio19-dev",),
    "pybluez": ("libbluetooth-dev",),
    "pycairo": ("libcairo2-dev",),
    "pycups": ("libcups2-dev",),
    "pycurl": ("libcurl4-openssl-dev", "libssl-dev"),
    "pydantic-core": _RUST,
    "pygobject": ("libcairo2-dev", "libgirepository1.0-dev"),
    "pygraphviz": ("libgraphviz-dev",),
    "pylibmc": ("libmemcached-dev", "zlib1g-dev"),
    "pymssql": ("freetds-dev",),
    "pyodbc": ("unixodbc-dev",),
    "pyproj": ("libproj-dev", "proj-bin"),
    "pyscard": ("libpcsclite-dev", "swig"),
    "python-ldap": ("libldap2-dev", "libsasl2-dev"),
    "python-snappy": ("libsnappy-dev",),
    "pyyaml": ("libyaml-dev",),
    "pyzmq": ("libzmq3-dev",),
    "rasterio": ("libgdal-dev",),
    "rpds-py": _RUST,
    "rpy2": ("r-base-dev",),
    "rtree": ("libspatialindex-dev",),
    "scikit-sparse": ("libsuitesparse-dev",),
    "scipy": ("gfortran", "libopenblas-dev"),
    "shapely": ("libgeos-dev",),
    "tables": ("libblosc-dev", "libbz2-dev", "libhdf5-dev", "liblzo2-dev"),
    "tokenizers": _RUST,
    "xmlsec": ("libxmlsec1-dev", "libxml2-dev"),
}
# What these need when they run, where the name is the same in every release.
_NEEDED = {
    "gmpy2": ("libgmp10", "libmpc3", "libmpfr6"),
    "m2crypto": ("openssl",),
    "mpi4py": ("openmpi-bin",),
    "mysqlclient": ("libmariadb3",),
    "psycopg-c": ("libpq5",),
    "psycopg2": ("libpq5",),
    "pyaudio": ("libportaudio2",),
    "pycairo": ("libcairo2",),
    "pygraphviz": ("graphviz",),
    "pyodbc": ("unixodbc",),
    "pyscard": ("libpcsclite1",),
    "pyyaml": ("libyaml-0-2",),
    "pyzmq": ("libzmq5",),
    "rpy2": ("r-base-core",),
}


def needed(names: Iterable[str]) -> tuple[SystemPackage, ...]:
    """The system packages that the built ones need when they run, as far as the table knows."""
    return tuple(
        SystemPackage(name=package, reason=f"{name} is built against it")
        for name in names
        for package in _NEEDED.get(name, ())
    )


def tools(names: Iterable[str], added: Iterable[str]) -> tuple[str, ...]:
    """The system packages that building these takes; ``added`` are the user's own."""
    found = {package for name in names for package in _HEADERS.get(name, ())}
    return tuple(sorted({*_ALWAYS, *found, *added}))


def stage(
    base: str, versions: Mapping[str, str], added: Sequence[str]
) -> list[tuple[Instruction, ...]]:
    """The stage that builds them, as paragraphs of the Dockerfile; none where there are none.

    Args:
        base: the image's own base, so that the Python is the same.
        versions: of what is to be built, by name.
        added: the user's own system packages, which may be what the build needs.
    """
    if not versions:
        return []
    return [
        (
            Comment(
                (
                    "The index has no wheel of these for this Python, so they are built here; the",
                    "compilers stay here:",
                    *(f"  {name}=={versions[name]}" for name in sorted(versions)),
                )
            ),
            From(base, STAGE),
        ),
        apt_run(tools(versions, added)),
        (
            Comment(("uv keeps each wheel that it builds in its cache.",)),
            Run(
                (
                    f"UV_CONFIG_FILE={SETTINGS_FILE} SOURCE_DATE_EPOCH={EPOCH} \\\n"
                    "      /opt/uv/uv pip install --cache-dir /tmp/uv --system-certs \\\n"
                    "      --target /tmp/built --no-deps --require-hashes -r /tmp/sdists.lock",
                    "install -d /wheels",
                    "find /tmp/uv -name '*.whl' -exec mv -t /wheels {} +",
                ),
                mounts=(
                    CA_SECRET,
                    UV,
                    SETTINGS,
                    f"type=bind,source={SDISTS},target=/tmp/sdists.lock",
                ),
            ),
        ),
    ]


def installed(versions: Mapping[str, str]) -> list[tuple[Instruction, ...]]:
    """The layer that installs what was built; none where there is none."""
    if not versions:
        return []
    pins = " ".join(f"{name}=={versions[name]}" for name in sorted(versions))
    return [
        (
            Comment(("The packages that were built above:",)),
            Run(
                (
                    f"UV_LINK_MODE=copy /opt/uv/uv pip install \\\n"
                    f"      {SYSTEM} --break-system-packages \\\n"
                    f"      --no-deps --no-index --no-cache --find-links /tmp/wheels {pins}",
                    "python3 /tmp/bytecode.py < /tmp/modules.txt",
                ),
                mounts=(
                    UV,
                    f"type=bind,from={STAGE},source=/wheels,target=/tmp/wheels",
                    "type=bind,source=modules.txt,target=/tmp/modules.txt",
                    f"type=bind,source={SCRIPTS}/bytecode.py,target=/tmp/bytecode.py",
                ),
            ),
        )
    ]
