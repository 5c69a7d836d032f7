"""Where the time of a call goes, file by file, side by side."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from src.report.table import escape

MOST = 8
_INTEGERS = "int8"
_LEAST_SHARE = 0.005  # of a call that an operator in float is named for


def sections(results: dict[str, Any]) -> list[str]:
    """The lines of a page: for each row its costliest operators, and what int8 left in float."""
    traced = [row for row in results["rows"] if row.get("trace")]
    failed = [row for row in results["rows"] if row.get("trace_reason")]
    if not traced and not failed:
        return []
    lines = ["", "## Where the time of a call goes", ""]
    if traced:
        lines += [
            side_by_side(traced),
            "",
            "- Batch 1, by the profiler of each runtime; profiling makes calls slower. The traces "
            "are in profile/inference/, for TensorBoard's profiler tab, ui.perfetto.dev and "
            "chrome://tracing.",
            *(f"- {line}" for row in traced for line in left_in_float(row)),
        ]
    lines += [
        f"- No trace of {row['format']} on {row['device']}: {escape(row['trace_reason'])}"
        for row in failed
    ]
    return lines


def side_by_side(rows: list[dict[str, Any]]) -> str:
    """A column a row, its operators from the costliest on, with ms a call and share."""
    columns = [list(_cells(row["profile"])) for row in rows]
    heads = [f"{row['format']} {row['device']}" for row in rows]
    return "\n".join(
        [
            f"| {' | '.join(heads)} |",
            f"| {' | '.join('---' for _ in rows)} |",
            *(f"| {' | '.join(line)} |" for line in zip_longest(*columns, fillvalue="")),
        ]
    )


def left_in_float(row: dict[str, Any]) -> list[str]:
    """Which operators of an int8 file still run in float, or convert; nothing for other files."""
    within = row["profile"]["by_precision"]
    if row["precision"] != _INTEGERS or _INTEGERS not in within:
        return []
    others = {
        f"{escape(kind)} {share:.1%}": share
        for precision, kinds in within.items()
        if precision != _INTEGERS
        for kind, share in kinds.items()
        if share >= _LEAST_SHARE
    }
    named = sorted(others, key=lambda name: -others[name])[:MOST]
    rest = ", ".join(named) or "nothing worth naming"
    return [f"Not in int8 in {row['format']} on {row['device']}, of the time of a call: {rest}."]


def _cells(profile: dict[str, Any]) -> list[str]:
    seconds = profile["call_seconds"]
    return [
        f"{escape(kind)} {1e3 * share * seconds:.2f} ms ({share:.0%})"
        for kind, share in list(profile["operators"].items())[:MOST]
    ]
