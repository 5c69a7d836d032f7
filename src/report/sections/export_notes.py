"""Notes of each format's export on how the file was made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from src.report.document import MISSING, NO_TABLE, Head, Section, Table
from src.run.facts import TrialTable
from src.run.results import Results

_CELLS: dict[str, Callable[[Any], str]] = {
    "text": str,
    "share": lambda value: f"{100 * value:.2f} %",
    "seconds": lambda value: f"{1e3 * value:.2f} ms",
    "truth": lambda value: "yes" if value else "no",
}


def sections(results: Results) -> list[Section]:
    """Return a section for each format whose export left notes, titled by the format.

    A format has the same file on all devices, so it has one section.
    """
    by_format = {
        row.format: row.details
        for row in results.rows
        if row.details and (row.details.summary or row.details.table)
    }
    return [
        Section(name, sentences=details.summary or (), table=_trials(name, details.table))
        for name, details in by_format.items()
    ]


def _trials(name: str, trials: TrialTable | None) -> Table:
    """Return the table of the recipes that were tried, in the units that its heads name."""
    if trials is None:
        return NO_TABLE
    heads = [Head(head, is_text=unit == "text") for head, unit in trials.head]
    rows = [
        [
            MISSING if value is None else _CELLS[unit](value)
            for value, (_, unit) in zip(row, trials.head, strict=True)
        ]
        for row in trials.rows
    ]
    return Table.of_text(f"What was tried for {name}", heads, rows, trials.chosen)
