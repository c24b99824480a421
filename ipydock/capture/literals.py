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
    recfromcsv load_npz Image SVG Video Audio FileLink ParquetFile read_metadata read_schema
    memory_map OSFile open_file CDLL LoadLibrary mimread volread netcdf_file Dataset readsav
    open_dataarray open_datatree read_mtx read_10x_h5 read_h5ad read_raw_fif from_gpkg LoadFromFile
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
# Displays that take a file by keyword alone; what comes first is the text to show.
DISPLAYS = words("HTML Markdown JSON Latex Javascript Math GeoJSON Code")
MAKERS = words("mkdir makedirs")
DOWNLOADERS = words("urlretrieve download_file download wget download_url")
LISTERS = words(
    """
    listdir scandir walk iterdir glob iglob rglob ImageFolder chdir copytree flow_from_directory
    image_dataset_from_directory fwalk list_files dataset ParquetDataset
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
    is_file is_dir stat mkdir
    """
)
PATH_MAKERS = frozenset({"Path", "PurePath", "PosixPath"})
HAS_SUFFIX = re.compile(r"[^/\\]\.[A-Za-z][A-Za-z0-9]{0,9}$")
SQLITE = re.compile(r"^(?:sqlite|duckdb)(?:\+\w+)?:///(?=.)", re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r"[\n<>]")
URL = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)
WEB_HOST = re.compile(r"(?:https?|ftp)://(?:[^/@\s]*@)?([A-Za-z0-9.-]{1,253})", re.IGNORECASE)

# Calls that may write, by their second argument or ``mode``.
_WITH_MODE = words("open File ZipFile TarFile HDFStore Dataset OSFile netcdf_file memmap open_zarr")
_SAME = words("abspath expanduser normpath realpath str fspath fsencode")
_CONSTANTS = {"os.pardir": "..", "os.path.pardir": "..", "os.curdir": ".", "os.sep": "/"}

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
    if isinstance(node, ast.Attribute):
        return _attribute(node, names, depth)
    if isinstance(node, ast.Subscript):
        return _nth_parent(node, names, depth)
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


def _attribute(node: ast.Attribute, names: Names, depth: int) -> str | None:
    whole = dotted(node)
    if whole in _CONSTANTS:
        return _CONSTANTS[whole]
    if node.attr == "parent":
        text = text_of(node.value, names, depth + 1)
        return None if text is None else parent(text)
    return names.get(whole)


def _nth_parent(node: ast.Subscript, names: Names, depth: int) -> str | None:
    """``path.parents[1]``."""
    of, index = node.value, node.slice
    if not (isinstance(of, ast.Attribute) and of.attr == "parents"):
        return None
    text = text_of(of.value, names, depth + 1)
    if text is None or not (isinstance(index, ast.Constant) and isinstance(index.value, int)):
        return None
    for _ in range(min(index.value, 50) + 1):
        text = parent(text)
    return text


def parent(path: str) -> str:
    """The folder that a path lies in, of a relative one also above where it starts."""
    path = path.rstrip("/") or path
    head, _, name = path.rpartition("/")
    if name in ("", "."):
        return ".." if not head else parent(head)
    if name == "..":
        return f"{path}/.."
    return head or ("/" if path.startswith("/") else ".")


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
    if name in _SAME and node.args:
        return text_of(node.args[0], names, depth + 1)
    if name == "dirname" and node.args:
        text = text_of(node.args[0], names, depth + 1)
        return None if text is None else parent(text)
    if name in ("cwd", "getcwd") and not node.args:
        return "."
    if name == "files" and node.args:  # importlib.resources: a package is a folder
        text = text_of(node.args[0], names, depth + 1)
        return None if text is None else text.replace(".", "/")
    if isinstance(node.func, ast.Attribute):
        return _method(node, node.func, names, depth)
    return None


def _method(node: ast.Call, func: ast.Attribute, names: Names, depth: int) -> str | None:
    """What a method of a path or of a text gives."""
    name = func.attr
    if name in ("resolve", "absolute", "expanduser", "as_posix", "strip"):
        return text_of(func.value, names, depth + 1)
    if name == "joinpath":
        return _join(
            [text_of(arg, names, depth + 1) or UNKNOWN for arg in (func.value, *node.args)]
        )
    if name in ("with_name", "with_suffix") and len(node.args) == 1:
        path, new = (text_of(arg, names, depth + 1) for arg in (func.value, node.args[0]))
        if path is None or new is None:
            return None
        head, slash, last = path.rpartition("/")
        return head + slash + (new if name == "with_name" else last.rpartition(".")[0] + new)
    if name == "format":
        text = text_of(func.value, names, depth + 1)
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
    known = UNKNOWN not in text or text.strip("*./\\ ")
    return text if len(text) <= LONGEST and known else None


def use_of(node: ast.Call) -> PathUse | None:
    """What a call does with the paths that it is given, None if it takes none."""
    name = called_name(node)
    if name in _WITH_MODE:
        return _mode(node)
    if name in MAKERS:
        return "make"
    if name in DOWNLOADERS:
        return "download"
    if name in WRITERS:
        return "write"
    if name in READERS:
        return "read"
    if name in LISTERS:
        return "list"
    if name in DISPLAYS:
        return "read"
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
    return not URL.match(text) and bool(HAS_SUFFIX.search(text)) and not _NOT_IN_NAMES.search(text)
