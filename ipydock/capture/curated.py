"""What no index says about system packages: alternatives, and what distributions open by name.

Libraries are given by soname and programs by name, so that each release's own table names the
package. An entry is here because it is not to be had from an index; the comment says why.
"""

from __future__ import annotations

from collections.abc import Mapping

from .findings import words

# Program -> package: links of Debian's alternatives, which no index lists; programs that a wrapper
# package has and another one makes work; of several the usual one.
PROGRAMS: Mapping[str, str] = {
    "bibtex": "texlive-binaries",
    "convert": "imagemagick",
    "gnuplot": "gnuplot-nox",
    "identify": "imagemagick",
    "jar": "default-jdk-headless",
    "java": "default-jre-headless",
    "javac": "default-jdk-headless",
    "libreoffice": "libreoffice",
    "mogrify": "imagemagick",
    "montage": "imagemagick",
    "mysql": "default-mysql-client",
    "nc": "netcat-openbsd",
    "psql": "postgresql-client",
    "rename": "rename",
    "soffice": "libreoffice",
    "telnet": "telnet",
    "vi": "vim-tiny",
    "vim": "vim",
}

# Programs that talk to a service of the host, which no container has: a client alone is of no use.
HOST_ALONE = words("docker docker-compose dockerd podman buildah nerdctl minikube systemctl")

# In every image besides what the tables say is present: the shell's own words, alternatives of
# essential packages, what Python and the kernel bring.
PRESENT = words(
    """
    . : [ alias awk bg break cd command continue declare eval exec exit export fg getopts hash help
    history ipython ipython3 jobs jupyter kill let local more nawk pip pip3 popd pushd pwd pydoc
    pydoc3 python python3 read return set shift shopt source time times trap type typeset ulimit
    umask unalias unset uv wait which
    """
)

# Distribution -> (libraries, programs, what for), of distributions in Python alone: what they open
# by ctypes or start is in their code, not in any file's header.
DISTRIBUTIONS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "cairocffi": (("libcairo.so.2",), (), "opens libcairo"),
    "cairosvg": (("libcairo.so.2",), (), "opens libcairo"),
    "ffmpeg-python": ((), ("ffmpeg",), "starts ffmpeg"),
    "gitpython": ((), ("git",), "starts git"),
    "gprof2dot": ((), ("dot",), "its output is for dot"),
    "graphviz": ((), ("dot",), "starts dot"),
    "konlpy": ((), ("java",), "starts java"),
    "language-tool-python": ((), ("java",), "starts java"),
    "pdf2image": ((), ("pdftoppm",), "starts pdftoppm"),
    "pydot": ((), ("dot",), "starts dot"),
    "pydub": ((), ("ffmpeg",), "starts ffmpeg"),
    "pyenchant": (("libenchant-2.so.2",), (), "opens libenchant"),
    "pypandoc": ((), ("pandoc",), "starts pandoc"),
    "pyspark": ((), ("java", "ps"), "starts java"),
    "pytesseract": ((), ("tesseract",), "starts tesseract"),
    "python-magic": (("libmagic.so.1",), (), "opens libmagic"),
    "pyusb": (("libusb-1.0.so.0",), (), "opens libusb"),
    "pyvirtualdisplay": ((), ("Xvfb",), "starts Xvfb"),
    "pyzbar": (("libzbar.so.0",), (), "opens libzbar"),
    "sounddevice": (("libportaudio.so.2",), (), "opens libportaudio"),
    "tabula-py": ((), ("java",), "starts java"),
    "weasyprint": (
        ("libpango-1.0.so.0", "libpangoft2-1.0.so.0", "libharfbuzz-subset.so.0"),
        (),
        "opens libpango",
    ),
}

# The same for distributions with compiled modules, for when they are not installed where the
# notebook was captured; where they are, their files say it.
COMPILED: Mapping[str, tuple[str, ...]] = {
    "lightgbm": ("libgomp.so.1",),
    "opencv-contrib-python": ("libGL.so.1", "libglib-2.0.so.0"),
    "opencv-python": ("libGL.so.1", "libglib-2.0.so.0"),
    "psycopg2": ("libpq.so.5",),
    "rasterio": ("libexpat.so.1",),
}
