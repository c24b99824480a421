"""The stored notebook and the executed one in, a verdict out."""

from __future__ import annotations

from typing import Any

from ..credentials import mask
from ..models import Blame, CellRun, CellStatus, CellVerdict, Rerun, Verdict, VerdictWord
from ..notebook import CodeCell, Notebook, code_cells, may_raise
from . import blame as blames
from .outputs import compare_outputs


def compare(original: Notebook, rerun: Rerun) -> Verdict:
    """Compare cell by cell what is stored in a notebook with what its rerun gave."""
    runs = {run.index: run for run in rerun.cells}
    codes = list(code_cells(original.node))
    stored = [original.node["cells"][code.index].get("execution_count") for code in codes]
    disorder = blames.out_of_order(stored)
    # Without a single output anywhere there is nothing stored, whatever the execution counts say.
    baseline = any(original.node["cells"][code.index]["outputs"] for code in codes)
    cells: list[CellVerdict] = []
    for code in codes:
        if not code.source.strip():
            continue
        index, number = code.index, code.number
        old, new = original.node["cells"][index], rerun.notebook["cells"][index]
        status, detail, blame = _cell(old, new, runs[index], baseline=baseline)
        if status == "error" and (name := blames.missing_name(detail)):
            detail, blame = _about_a_name(name, detail, code, codes, cells)
        cells.append(
            CellVerdict(
                index=index,
                number=number,
                status=status,
                blame=blame,
                detail=mask(detail),  # verdicts are shown around; a stored output may hold a token
            )
        )
    warnings = list(rerun.warnings)
    if disorder:
        warnings.append(
            "The stored outputs were not made from top to bottom: the execution counts are out of "
            "order."
        )
    if rerun.failure:
        warnings.insert(0, rerun.failure)
    return Verdict(
        notebook=original.name,
        verdict=_word(cells),
        blame=_all(cells),
        cells=tuple(cells),
        warnings=tuple(warnings),
        engine=rerun.engine,
        executed=rerun.path,
    )


def _about_a_name(
    name: str, detail: str, code: CodeCell, codes: list[CodeCell], done: list[CellVerdict]
) -> tuple[str, Blame | None]:
    """What a NameError comes from: a cell above that failed, or one below that comes too late."""
    failed = {cell.number: cell.blame for cell in done if cell.status == "error"}
    for other in codes:
        if other.number < code.number and other.number in failed:
            if blames.defines(other.source, name):
                detail = f"{detail} (cell {other.number}, which sets it, failed)"
                return detail, failed[other.number]
        elif other.number > code.number and blames.defines(other.source, name):
            return f"{detail} (cell {other.number}, further down, sets it)", "execution-order"
    return detail, None


def _cell(
    old: dict[str, Any], new: dict[str, Any], run: CellRun, *, baseline: bool
) -> tuple[CellStatus, str, Blame | None]:
    if run.outcome == "not-run":
        return "not-run", "", None
    if run.outcome == "died":
        return "error", "the kernel ended in this cell", "resources"
    if run.outcome == "timeout":
        return "error", f"stopped after {run.seconds:.0f} s", "resources"
    before, after = _raised(old), _raised(new)
    if may_raise(old) and not old["outputs"]:
        return "no-baseline", "", None
    if after and not before:
        detail = f"{after[0]}: {after[1]}"[:300]
        return "error", detail, blames.of_error(*after)
    if before and not after:
        return "fixed", f"raised {before[0]} before", None
    if not baseline or (not old["outputs"] and old.get("execution_count") is None):
        return "no-baseline", "", None
    found = compare_outputs(old["outputs"], new["outputs"])
    if not found:
        return "same", "", None
    if not after or not found.startswith("error:"):
        return "different", found, None
    return "different", found, blames.of_error(*after) or "code"


def _raised(cell: dict[str, Any]) -> tuple[str, str] | None:
    for output in cell["outputs"]:
        if output["output_type"] == "error":
            return str(output.get("ename", "")), str(output.get("evalue", ""))
    return None


def _word(cells: list[CellVerdict]) -> VerdictWord:
    statuses = {cell.status for cell in cells}
    if statuses & {"error", "not-run"}:
        return "failed"
    if statuses & {"different", "fixed"}:
        return "differs"
    if not statuses & {"same", "close"}:
        return "unverifiable"
    return "reproduced"


def _all(cells: list[CellVerdict]) -> tuple[Blame, ...]:
    return tuple(dict.fromkeys(cell.blame for cell in cells if cell.blame))
