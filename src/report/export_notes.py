"""How the files were made: what each format's export says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from src.report.table import MISSING
from src.report.writers.markdown_table import items, line, rule

_CELLS: dict[str, Callable[[Any], str]] = {
    "text": str,
    "share": lambda value: f"{100 * value:.2f} %",
    "seconds": lambda value: f"{1e3 * value:.2f} ms",
    "truth": lambda value: "yes" if value else "no",
}


def sections(results: dict[str, Any]) -> Iterator[str]:
    """The lines of a section of ``report.md`` for each format that tells how it was made."""
    for name, details in told(results).items():
        yield from ("", f"## How {name} was made", "")
        yield from items(details.get("summary", ()))
        if "table" in details:
            yield ""
            yield from _table(*table_of(details))


def table_of(details: dict[str, Any]) -> tuple[list[list[str]], list[list[str]], int]:
    """What was tried: the head, with units, the cells as text, and which row was chosen."""
    found = details["table"]
    cells = [
        [
            MISSING if value is None else _CELLS[unit](value)
            for value, (_, unit) in zip(row, found["head"], strict=True)
        ]
        for row in found["rows"]
    ]
    return found["head"], cells, found["chosen"]


def told(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What each format's export says, by format."""
    return {row["format"]: row["details"] for row in results["rows"] if row.get("details")}


def _table(head: list[list[str]], rows: list[list[str]], chosen: int) -> Iterator[str]:
    """What was tried, the chosen row in bold."""
    yield line([name for name, _ in head])
    yield rule(unit == "text" for _, unit in head)
    for number, cells in enumerate(rows):
        yield line(cells, bold=number == chosen)
