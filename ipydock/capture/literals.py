"""Strings that are paths: which calls take them, and what an expression of strings comes to."""

from __future__ import annotations

import ast
import re
from typing import TypeAlias

from .findings import PathUse, words

LONGEST = 1024  # characters of a path that is still looked at
UNKNOWN = "*"  # stands for a part that is not known before the code runs

# By the last name of what is called. Only a path in one of these is missed when it is not there.
READERS = words(
    """
    open read_csv read_table read_excel read_json read_parquet read_feather read_hdf read_pickle
    read_fwf read_stata read_sas read_spss read_orc read_xml read_html read_file read_ipc
    read_ndjson scan_csv scan_parquet scan_ipc scan_ndjson loadtxt genfromtxt load fromfile
    memmap loadmat imread load_img load_model load_workbook ExcelFile HDFStore File open_dataset
    open_mfdataset open_rasterio open_zarr read_text read_bytes load_word2vec_format read_gml
    read_graphml read_edgelist read_adjlist read_image VideoCapture from_file from_csv
    load_svmlight_file load_weights read_gpickle TabularDataset ZipFile TarFile fromregex
    recfromcsv load_npz
    """
)
WRITERS = words(
    """
    to_csv to_excel to_json to_parquet to_feather to_pickle to_hdf to_stata to_html to_latex
    to_markdown to_netcdf to_zarr to_file to_xml to_orc savefig imsave imwrite save savez
    savez_compressed savetxt tofile dump write_image write_html write_csv write_parquet
    write_text write_bytes write_json save_model save_weights save_npz savemat ExcelWriter
    write_gml write_graphml write_edgelist write_video make_archive save_word2vec_format touch
    """
)
DOWNLOADERS = words("urlretrieve download_file download wget download_url")
LISTERS = words(
    """
    listdir scandir walk iterdir glob iglob rglob ImageFolder chdir copytree flow_from_directory
    image_dataset_from_directory
    """
)
# Calls whose text may be a path, though a missing one is no fault.
MENTIONS = words(
    """
    Path PurePath PosixPath exists isfile isdir join remove unlink stat connect
    """
)
PATH_METHODS = words(
    """
    open read_text read_bytes write_text write_bytes exists iterdir glob rglob touch unlink
    is_file is_dir stat
    """
)
PATH_MAKERS = frozenset({"Path", "PurePath", "PosixPath"})
HAS_SUFFIX = re.compile(r"[^/\\]\.[A-Za-z][A-Za-z0-9]{0,9}$")
URL = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
WEB_HOST = re.compile(r"(?:https?|ftp)://(?:[^/@\s]*@)?([A-Za-z0-9.-]{1,253})", re.IGNORECASE)

Names: TypeAlias = dict[str, str]


def called_name(node: ast.Call) -> str:
    """The last name of what is called: ``read_csv`` for ``pd.read_csv(...)``."""
    func = node.func
    if isinstance(func, ast.Attribute):
        return func.attr
    return func.id if isinstance(func, ast.Name) else ""


def dotted(node: ast.AST) -> str:
    """The dotted name of an expression, empty if it is not one."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def text_of(node: ast.AST, names: Names, depth: int = 0) -> str | None:
    """What an expression of strings and paths comes to, with `UNKNOWN` for what is open.

    Constants, f-strings, ``+``, ``/``, ``%``, ``os.path.join``, ``Path(...)`` and variables that
    hold such (``names``) are followed; None if nothing of it is known.
    """
    if depth > 20:
        return None
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) and len(node.value) <= LONGEST else None
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.JoinedStr):
        pieces = [text_of(part, names, depth + 1) or UNKNOWN for part in node.values]
        return _known("".join(pieces))
    if isinstance(node, ast.FormattedValue):
        return text_of(node.value, names, depth + 1)
    if isinstance(node, ast.BinOp):
        return _operation(node, names, depth)
    if isinstance(node, ast.Call):
        return _call(node, names, depth)
    return None


def _operation(node: ast.BinOp, names: Names, depth: int) -> str | None:
    left = text_of(node.left, names, depth + 1)
    if isinstance(node.op, ast.Mod):
        return _known(re.sub(r"%[-+ 0#]*\d*(\.\d+)?[a-zA-Z]", UNKNOWN, left)) if left else None
    right = text_of(node.right, names, depth + 1)
    if left is None and right is None:
        return None
    if isinstance(node.op, ast.Add):
        return _known((left or UNKNOWN) + (right or UNKNOWN))
    if isinstance(node.op, ast.Div):
        return _join([left or UNKNOWN, right or UNKNOWN])
    return None


def _call(node: ast.Call, names: Names, depth: int) -> str | None:
    name = called_name(node)
    if name == "join" and dotted(node.func).endswith("path.join"):
        return _join([text_of(arg, names, depth + 1) or UNKNOWN for arg in node.args])
    if name in PATH_MAKERS:
        return _join([text_of(arg, names, depth + 1) or UNKNOWN for arg in node.args])
    if name in ("abspath", "expanduser", "normpath", "realpath", "str", "fspath") and node.args:
        return text_of(node.args[0], names, depth + 1)
    if name == "format" and isinstance(node.func, ast.Attribute):
        text = text_of(node.func.value, names, depth + 1)
        return _known(re.sub(r"\{[^{}]*\}", UNKNOWN, text)) if text else None
    return None


def _join(parts: list[str]) -> str | None:
    if not parts:
        return "."
    path = ""
    for part in parts:
        path = part if part.startswith("/") or not path else f"{path.rstrip('/')}/{part}"
    return _known(path)


def _known(text: str) -> str | None:
    """The text, unless nothing of it is known or it is too long to be a path."""
    text = re.sub(r"\*{3,}", UNKNOWN, text)
    return text if len(text) <= LONGEST and text.strip("*./\\ ") else None


def use_of(node: ast.Call) -> PathUse | None:
    """What a call does with the paths that it is given, None if it takes none."""
    name = called_name(node)
    if name in ("open", "File", "ZipFile", "TarFile", "HDFStore"):
        return _mode(node)
    if name in DOWNLOADERS:
        return "download"
    if name in WRITERS:
        return "write"
    if name in READERS:
        return "read"
    if name in LISTERS:
        return "list"
    return "mention" if name in MENTIONS else None


def _mode(node: ast.Call) -> PathUse:
    method = isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Call)
    position = 0 if method and called_name(node) == "open" else 1
    mode: ast.AST | None = node.args[position] if len(node.args) > position else None
    for keyword in node.keywords:
        if keyword.arg == "mode":
            mode = keyword.value
    if isinstance(mode, ast.Constant) and isinstance(mode.value, str):
        return "write" if mode.value[:1] in ("w", "a", "x") else "read"
    return "read"


def downloaded_name(url: str) -> str | None:
    """The file name that a download of this URL leaves, if it can be told."""
    name = re.split(r"[?#]", url)[0].rsplit("/", 1)[-1]
    return name if looks_like_path(name) and UNKNOWN not in name else None


def looks_like_path(text: str) -> bool:
    """Whether a text that names no file here is a path all the same."""
    return not URL.match(text) and bool(HAS_SUFFIX.search(text)) and "\n" not in text
