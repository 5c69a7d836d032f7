"""Where the time of a call goes, file by file, side by side."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from src.report.writers import markdown_table

MOST = 8
_INTEGERS = "int8"
_LEAST_SHARE = 0.005  # of a call that an operator in float is named for
TITLE = "Where the time of a call goes"


def sections(results: dict[str, Any]) -> list[str]:
    """The lines of a page: for each row its costliest operators, and what int8 left in float."""
    found, said = traced(results), notes(results)
    if not said:
        return []
    lines = ["", f"## {TITLE}", ""]
    if found:
        lines += [side_by_side(found), ""]
    return [*lines, *markdown_table.items(said)]


def traced(results: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that have a trace, and how long a call of it took."""
    return [
        row
        for row in results["rows"]
        if row.get("trace") and row["profile"].get("call_seconds") is not None
    ]


def notes(results: dict[str, Any]) -> list[str]:
    """How the traces were taken, what int8 left in float, and which row has no trace, and why."""
    found = traced(results)
    lines = []
    if found:
        lines = [
            "Batch 1, by the profiler of each runtime; profiling makes calls slower. The traces "
            "are in profile/inference/, for TensorBoard's profiler tab, ui.perfetto.dev and "
            "chrome://tracing.",
            *(line for row in found for line in left_in_float(row)),
        ]
    return lines + [
        f"No trace of {row['format']} on {row['device']}: {row['trace_reason']}"
        for row in results["rows"]
        if row.get("trace_reason")
    ]


def columns(rows: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """A column a row: their heads, and line by line the operators from the costliest on.

    Each cell holds the operator's milliseconds of a call and their share.
    """
    heads = [f"{row['format']} {row['device']}" for row in rows]
    cells = [_cells(row["profile"]) for row in rows]
    return heads, [list(line) for line in zip_longest(*cells, fillvalue="")]


def side_by_side(rows: list[dict[str, Any]]) -> str:
    """The same as a table of Markdown."""
    heads, lines = columns(rows)
    return "\n".join(
        [
            markdown_table.line(heads),
            markdown_table.rule([True] * len(rows)),
            *map(markdown_table.line, lines),
        ]
    )


def left_in_float(row: dict[str, Any]) -> list[str]:
    """Which operators of an int8 file still run in float, or convert; nothing for other files."""
    within = row["profile"].get("by_precision", {})
    if row["precision"] != _INTEGERS or _INTEGERS not in within:
        return []
    others = {
        f"{kind} {share:.1%}": share
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
        f"{kind} {1e3 * share * seconds:.2f} ms ({share:.0%})"
        for kind, share in list(profile["operators"].items())[:MOST]
    ]
