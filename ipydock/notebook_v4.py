"""Any JSON document to nbformat 4: versions told apart, nbformat 3 converted, small faults mended.

Notebooks in the wild lack cell ids, carry extra properties or sources as lists. nbformat's reader
warns about those or rejects them; here they are repaired in memory, without random ids or warnings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import NotebookError

MINOR = 5  # the nbformat 4 minor version that everything is brought to
CELL_TYPES = ("code", "markdown", "raw")
# Kernel names that say which language a notebook is in when its metadata does not.
OTHER_KERNELS = re.compile(
    r"(ir|r|irkernel|julia.*|bash|calysto_.*|gnuplot|octave|matlab|scala.*|almond|spylon.*|"
    r"javascript|jslab|tslab|deno|node.*|ruby|rust|evcxr|i?haskell|go|gophernotes|i?java|"
    r"kotlin|\.net-.*|xcpp.*|sql|xsqlite|sas|stata|sos|perl.*|php|lua|wolfram.*|maxima)",
    re.IGNORECASE,
)
PYTHON_NAMES = re.compile(
    r"(i?python([ \d].*)?|xpython|pypy.*|pyspark.*|pyodide|micropython)", re.IGNORECASE
)
V3_MIME = {
    "text": "text/plain",
    "html": "text/html",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "latex": "text/latex",
    "json": "application/json",
    "javascript": "application/javascript",
    "pdf": "application/pdf",
}


def printable(text: str) -> str:
    """A text as it may be shown: control characters escaped, since notebooks can be hostile."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def to_v4(document: Any, shown: str) -> tuple[Any, tuple[str, ...]]:
    """A copy of the document as a complete nbformat 4 node, and what was odd about it.

    Args:
        document: what the JSON held.
        shown: the notebook's name, for messages.

    Raises:
        NotebookError: it is not a notebook, of an unknown version, or not a Python one.
    """
    if not isinstance(document, Mapping):
        raise NotebookError(f"{shown} is JSON, but not a notebook: it is not an object.")
    major = _version(document, shown)
    notes: list[str] = []
    try:
        node = _plain(document)
    except RecursionError:
        raise NotebookError(f"{shown} is not a notebook: its JSON is nested too deep.") from None
    if major == 3:
        _upgrade(node)
        notes.append("The notebook is in nbformat 3; it was read as nbformat 4 (the file is kept).")
    elif isinstance(node.get("nbformat_minor"), int) and node["nbformat_minor"] > MINOR:
        newer = str(node["nbformat_minor"])[:20]
        notes.append(f"The notebook is in nbformat 4.{newer}, which was read as 4.{MINOR}.")
    if not isinstance(node.get("cells"), list):
        raise NotebookError(f"{shown} is JSON, but not a notebook: it has no list of cells.")
    notes += _repair(node)
    _require_python(node, shown)
    version = _text(_mapping(node["metadata"].get("language_info")).get("version"))
    if version.startswith("2."):
        notes.append(
            f"The notebook was last run with Python {printable(version[:20])}, which is not the "
            "language of Python 3: cells in the old syntax will fail until they are converted "
            "(with 2to3 or by hand)."
        )
    return node, tuple(notes)


def _version(document: Mapping[str, Any], shown: str) -> int:
    major = document.get("nbformat")
    if isinstance(major, bool) or not isinstance(major, int):
        # nbformat 1 had cells, and no number.
        old = " (nbformat 1?)" if isinstance(document.get("cells"), list) else ""
        raise NotebookError(f"{shown} is JSON, but not a notebook: no nbformat number{old}.")
    if major in (1, 2):
        raise NotebookError(
            f"{shown} is in nbformat {major}, which is too old.",
            hint="Convert it with `jupyter nbconvert --to notebook`, or save it in Jupyter.",
        )
    if major not in (3, 4):
        raise NotebookError(
            f"{shown} is in nbformat {str(major)[:20]}; this ipydock knows 3 and 4.",
            hint="A newer ipydock may know it." if major > 4 else "",
        )
    return major


def _plain(value: Any) -> Any:
    """A deep copy of plain dictionaries; strings without lone surrogates, which no file holds."""
    if isinstance(value, str):
        if value.isascii():
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_plain(str(k)): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


# --- nbformat 3 ------------------------------------------------------------------------------


def _upgrade(node: Any) -> None:
    """Nbformat 3 to 4 in place: worksheets flattened, cells and outputs renamed."""
    sheets = [sheet for sheet in _list(node.pop("worksheets", None)) if isinstance(sheet, dict)]
    node["cells"] = cells = [
        cell for sheet in sheets for cell in _list(sheet.get("cells")) if isinstance(cell, dict)
    ]
    languages = set()
    for cell in cells:
        if cell.get("cell_type") == "code":
            languages.add(_text(cell.pop("language", "")) or "python")
            cell["source"] = cell.pop("input", "")
            cell["execution_count"] = cell.pop("prompt_number", None)
            cell["outputs"] = [_v4_output(o) for o in _list(cell.get("outputs"))]
        elif cell.get("cell_type") == "heading":
            level = cell.pop("level", 1)
            marks = "#" * level if level in range(1, 7) else "#"
            cell["cell_type"] = "markdown"
            cell["source"] = f"{marks} {' '.join(_text(cell.get('source')).splitlines())}"
        elif cell.get("cell_type") == "html":
            cell["cell_type"] = "markdown"
    metadata = node["metadata"] = _mapping(node.get("metadata"))
    if languages and not any(PYTHON_NAMES.fullmatch(name) for name in languages):
        metadata.setdefault("language_info", _mapping(None))["name"] = min(languages)


def _v4_output(output: Any) -> Any:
    if not isinstance(output, dict):
        return None
    kind = output.get("output_type")
    if kind == "stream":
        output["name"] = output.pop("stream", "stdout")
    elif kind == "pyerr":
        output["output_type"] = "error"
    elif kind in ("pyout", "display_data"):
        renamed = {"output_type": "execute_result" if kind == "pyout" else kind}
        if kind == "pyout":
            renamed["execution_count"] = output.get("prompt_number")
        data = {V3_MIME[key]: value for key, value in output.items() if key in V3_MIME}
        return _plain({**renamed, "data": data, "metadata": output.get("metadata")})
    return output


# --- repairs ---------------------------------------------------------------------------------


def _repair(node: Any) -> list[str]:
    """Give every cell the properties that readers rely on; say what had to be dropped."""
    node["metadata"] = _mapping(node.get("metadata"))
    node["nbformat"], node["nbformat_minor"] = 4, MINOR
    good = [c for c in node["cells"] if isinstance(c, dict) and c.get("cell_type") in CELL_TYPES]
    dropped = len(node["cells"]) - len(good)
    seen: set[str] = set()
    for index, cell in enumerate(good):
        cell["metadata"] = _mapping(cell.get("metadata"))
        cell["source"] = _text(cell.get("source"))
        identifier = cell.get("id")
        if not isinstance(identifier, str) or not re.fullmatch(r"[\w-]{1,64}", identifier, re.A):
            identifier = f"cell-{index}"
        while identifier in seen:
            identifier = f"cell-{index}-{len(seen)}"
        seen.add(identifier)
        cell["id"] = identifier
        if cell["cell_type"] == "code":
            cell["outputs"] = [o for o in map(_output, _list(cell.get("outputs"))) if o]
            cell["execution_count"] = _count(cell.get("execution_count"))
            cell.pop("attachments", None)
        else:
            cell.pop("outputs", None)
            cell.pop("execution_count", None)
            if not isinstance(cell.get("attachments", {}), dict):
                del cell["attachments"]
    node["cells"] = good
    return [f"{dropped} cells of an unknown kind were left out."] if dropped else []


def _output(output: Any) -> Any:
    """A stored output with the properties of its type, or None if it is not one."""
    kind = output.get("output_type") if isinstance(output, dict) else None
    if kind == "stream":
        output["name"] = _text(output.get("name")) or "stdout"
        output["text"] = _text(output.get("text"))
    elif kind in ("display_data", "execute_result"):
        output["data"] = bundle = _mapping(output.get("data"))
        for mime, content in bundle.items():
            if mime != "application/json" and not mime.endswith("+json"):
                bundle[mime] = _text(content)
        output["metadata"] = _mapping(output.get("metadata"))
        if kind == "execute_result":
            output["execution_count"] = _count(output.get("execution_count"))
    elif kind == "error":
        output["ename"] = _text(output.get("ename"))
        output["evalue"] = _text(output.get("evalue"))
        output["traceback"] = [_text(line) for line in _list(output.get("traceback"))]
    else:
        return None
    return output


def _require_python(node: Any, shown: str) -> None:
    metadata = node["metadata"]
    spec, info = _mapping(metadata.get("kernelspec")), _mapping(metadata.get("language_info"))
    language = (_text(spec.get("language")) or _text(info.get("name"))).strip()
    kernel = _text(spec.get("name")).strip()
    if language:
        foreign = not PYTHON_NAMES.fullmatch(language)
    else:
        foreign = bool(OTHER_KERNELS.fullmatch(kernel))
    if foreign:
        what = printable((language or kernel)[:60])
        named = f" (kernel {printable(kernel[:60])})" if kernel and kernel != what else ""
        raise NotebookError(
            f"{shown} is a notebook in {what}{named}; ipydock works with Python notebooks only."
        )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Any:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    """Multi-line strings are lists of strings in files and one string in memory."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return ""
