"""The operators of each file by their share of the time of a call, side by side."""

from __future__ import annotations

from itertools import zip_longest

from src.report.document import NO_TABLE, Cell, Head, Section, Table, TableRow
from src.report.sections.rows import name_of, profile_of
from src.run.results import Results
from src.run.row import Row

_MOST = 8  # operators of a file
_INTEGERS = "int8"
_LEAST_SHARE = 0.005  # of a call: below it an operator in float is not named


def section(results: Results) -> Section | None:
    """Return the costliest operators of each traced row, and the operators that int8 left in float.

    None if no row has a trace, or a reason why there is none.
    """
    traced = [row for row in results.rows if row.trace and profile_of(row).call_seconds is not None]
    notes = _notes(results, traced)
    if not notes:
        return None
    table = _table(traced) if traced else NO_TABLE
    return Section("Where the time of a call goes", table=table, notes=notes)


def _table(rows: list[Row]) -> Table:
    """Return a table with one column per traced row, in which operators are ranked by cost."""
    ranked = zip_longest(*(_costliest(row) for row in rows), fillvalue="")
    return Table(
        "Each file's operators, the costliest first, in milliseconds and share of a call",
        [Head(f"{row.format} {row.device}", is_text=True) for row in rows],
        [
            TableRow(str(rank), [Cell(operator) for operator in operators])
            for rank, operators in enumerate(ranked, 1)
        ],
        keys=0,
    )


def _costliest(row: Row) -> list[str]:
    profile = profile_of(row)
    seconds = profile.call_seconds or 0.0
    return [
        f"{kind} {1e3 * share * seconds:.2f} ms ({share:.0%})"
        for kind, share in list(profile.operators.items())[:_MOST]
    ]


def _notes(results: Results, traced: list[Row]) -> list[str]:
    """Return notes on the traces, on operators left in float, and on rows without a trace."""
    notes = []
    if traced:
        notes = [
            "Batch 1, by the profiler of each runtime; profiling makes calls slower. The traces "
            "are in profile/inference/, for TensorBoard's tab Lightship, ui.perfetto.dev and "
            "chrome://tracing.",
            *(note for row in traced if (note := _left_in_float(row)) is not None),
        ]
    return notes + [
        f"No trace of {name_of(row)}: {row.trace_reason}"
        for row in results.rows
        if row.trace_reason
    ]


def _left_in_float(row: Row) -> str | None:
    """Return a line on the operators of an int8 file that run in float; None for other files."""
    by_precision = profile_of(row).by_precision
    if row.precision != _INTEGERS or not by_precision or _INTEGERS not in by_precision:
        return None
    shares = {
        f"{kind} {share:.1%}": share
        for precision, kinds in by_precision.items()
        if precision != _INTEGERS
        for kind, share in kinds.items()
        if share >= _LEAST_SHARE
    }
    named = sorted(shares, key=lambda name: -shares[name])[:_MOST]
    rest = ", ".join(named) or "nothing worth naming"
    return f"Not in int8 in {name_of(row)}, of the time of a call: {rest}."
