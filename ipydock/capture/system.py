"""System packages behind the programs that cells start and the libraries that wheels do not bring.

A small table of what notebooks use most, for Debian 12 (bookworm), checked against its Contents
indexes; convert, mogrify, gnuplot, java and javac come by way of Debian's alternatives. What is not
in it is named in a warning, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..models import Program, Requested, SystemPackage

# Program -> package that holds /usr/bin/PROGRAM.
PROGRAMS: Mapping[str, str] = {
    "convert": "imagemagick",
    "curl": "curl",
    "dot": "graphviz",
    "ffmpeg": "ffmpeg",
    "ffprobe": "ffmpeg",
    "file": "file",
    "g++": "g++",
    "gcc": "gcc",
    "gfortran": "gfortran",
    "git": "git",
    "gnuplot": "gnuplot-nox",
    "java": "default-jre-headless",
    "javac": "default-jdk-headless",
    "jq": "jq",
    "latex": "texlive-latex-base",
    "make": "make",
    "mogrify": "imagemagick",
    "neato": "graphviz",
    "node": "nodejs",
    "pandoc": "pandoc",
    "pdflatex": "texlive-latex-base",
    "pdftoppm": "poppler-utils",
    "pdftotext": "poppler-utils",
    "ps": "procps",
    "R": "r-base-core",
    "Rscript": "r-base-core",
    "ruby": "ruby",
    "sox": "sox",
    "sqlite3": "sqlite3",
    "tesseract": "tesseract-ocr",
    "tree": "tree",
    "unzip": "unzip",
    "wget": "wget",
    "xelatex": "texlive-xetex",
    "zip": "zip",
}

# Distribution -> packages that it needs and its wheels do not bring, and what for.
DISTRIBUTIONS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "cairosvg": (("libcairo2",), "loads libcairo"),
    "graphviz": (("graphviz",), "starts dot"),
    "lightgbm": (("libgomp1",), "loads libgomp"),
    "opencv-contrib-python": (("libgl1", "libglib2.0-0"), "loads libGL and libglib"),
    "opencv-python": (("libgl1", "libglib2.0-0"), "loads libGL and libglib"),
    "pdf2image": (("poppler-utils",), "starts pdftoppm"),
    "psycopg2": (("libpq5",), "loads libpq"),
    "pydot": (("graphviz",), "starts dot"),
    "pyenchant": (("libenchant-2-2",), "loads libenchant"),
    "pytesseract": (("tesseract-ocr",), "starts tesseract"),
    "weasyprint": (("libpango-1.0-0", "libpangoft2-1.0-0"), "loads libpango"),
}

# In every image: the shell, the essential packages of Debian, and what Python brings.
PRESENT = frozenset(
    {
        "[",
        "awk",
        "base64",
        "basename",
        "bash",
        "cat",
        "cd",
        "chmod",
        "chown",
        "clear",
        "cmp",
        "comm",
        "cp",
        "cut",
        "date",
        "dd",
        "df",
        "diff",
        "dirname",
        "du",
        "echo",
        "egrep",
        "env",
        "expr",
        "export",
        "false",
        "fgrep",
        "find",
        "grep",
        "gunzip",
        "gzip",
        "head",
        "hostname",
        "id",
        "ipython",
        "join",
        "jupyter",
        "ln",
        "ls",
        "md5sum",
        "mkdir",
        "mktemp",
        "mv",
        "nl",
        "nproc",
        "od",
        "paste",
        "perl",
        "pip",
        "pip3",
        "printf",
        "pwd",
        "pytest",
        "python",
        "python3",
        "readlink",
        "realpath",
        "rm",
        "rmdir",
        "sed",
        "seq",
        "set",
        "sh",
        "sha256sum",
        "sleep",
        "sort",
        "source",
        "split",
        "stat",
        "tail",
        "tar",
        "tee",
        "test",
        "time",
        "touch",
        "tr",
        "true",
        "tty",
        "type",
        "uname",
        "uniq",
        "uv",
        "wc",
        "which",
        "whoami",
        "xargs",
        "yes",
    }
)


def packages(
    programs: Iterable[Program], requested: Iterable[Requested]
) -> tuple[list[SystemPackage], list[str]]:
    """The system packages that a notebook needs besides those it names, and warnings."""
    found: dict[str, str] = {}
    unknown: list[str] = []
    for program in programs:
        first = str(program.evidence[0]) if program.evidence else program.name
        if program.name in PROGRAMS:
            found.setdefault(PROGRAMS[program.name], first)
        elif program.name not in PRESENT:
            unknown.append(program.name)
    for item in requested:
        names, why = DISTRIBUTIONS.get(item.distribution or "", ((), ""))
        for name in names:
            found.setdefault(name, f"{item.distribution} {why}")
    warnings = []
    if unknown:
        listed = ", ".join(sorted(unknown)[:10])
        warnings.append(
            f"It is not known which system packages hold {listed}, which cells start; add them "
            "with --add-apt if the notebook needs them."
        )
    return [SystemPackage(name=name, reason=found[name]) for name in sorted(found)], warnings
