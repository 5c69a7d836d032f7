"""Narrow tables, for readers that neither scroll sideways nor keep words whole.

TensorBoard's Text tab is one: it breaks words anywhere as soon as a table is wider than its card.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace

from src.report.document import MISSING, Cell, Head, Table, TableRow

_PADDING = 4  # characters of a cell's margins and border
_HEAD_WIDTH = 12  # characters


def transposed(table: Table) -> Table:
    """Return a table with a row for each figure and a column for each measured row.

    The leading columns of text name the rows, except details among them. A figure that no row has
    is left out.
    """
    named = next((at for at, head in enumerate(table.heads) if not head.is_text), 1)
    shown = [at for at in range(named) if not table.heads[at].is_detail]
    names = [" ".join(row.cells[at].text for at in shown) for row in table.measured]
    rows = []
    for at, head in enumerate(table.heads[named:], named):
        cells = [row.cells[at] for row in table.measured]
        if any(cell.figure != MISSING for cell in cells):
            rows.append(TableRow(head.line, [Cell(head.line), *cells]))
    heads = [Head(_in_lines(name), is_text=True) for name in ("figure", *names)]
    return Table(table.caption, heads, rows)


def split(table: Table, width: int) -> list[Table]:
    """Return tables of at most ``width`` characters, which have the columns of one side by side.

    The parts of a cell are taken to stand below each other. Each table repeats the key columns and
    has at least one other.
    """
    widths = [_width(table, at) for at in range(len(table.heads))]
    keys = range(table.keys)
    room = width - sum(widths[at] for at in keys)
    return [_columns(table, [*keys, *group]) for group in _groups(widths, table.keys, room)]


def _in_lines(name: str) -> str:
    """Return a name that is broken at spaces, as the head of a narrow column."""
    return textwrap.fill(name, _HEAD_WIDTH, break_long_words=False, break_on_hyphens=False)


def _groups(widths: Sequence[int], first: int, room: int) -> Iterator[list[int]]:
    """Yield the positions from ``first`` on, in groups whose widths add up to at most ``room``."""
    group: list[int] = []
    for at in range(first, len(widths)):
        if group and sum(widths[other] for other in group) + widths[at] > room:
            yield group
            group = []
        group.append(at)
    if group:
        yield group


def _columns(table: Table, kept: Sequence[int]) -> Table:
    """Return a table with some of the columns, without the rows that are empty in them."""
    rows = [
        replace(row, cells=[row.cells[at] for at in kept])
        for row in table.measured
        if any(row.cells[at].text for at in kept)
    ]
    return replace(table, heads=[table.heads[at] for at in kept], rows=rows)


def _width(table: Table, at: int) -> int:
    parts = [part for row in table.measured for part in row.cells[at].parts]
    return _PADDING + max(map(len, (*table.heads[at].lines, *parts)))
