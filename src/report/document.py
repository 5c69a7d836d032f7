"""Data types of a report, without layout. Sections fill them, writers lay them out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, TypeVar

MISSING = "-"
UNSTABLE = "~"

RowT = TypeVar("RowT")


@dataclass(frozen=True)
class Cell:
    """One cell of a table, as plain text in parts that a writer may lay out separately.

    Args:
        figure: the number in the unit of its column, or words instead of a number.
        interval: the 95 % interval in brackets, followed by a remark if it needs one.
        mark: a word shown after ``~`` that qualifies the figure, for example why it is unstable.
        value: the measured number, by which rows are sorted and the best one is found.
        verdict: ``pass``, ``fail`` or ``inconclusive`` if the cell shows a verdict.
        is_number: False if words replace the number; such a cell is never the best one.
        is_best: no other cell of the column has a better value.
        competes: False if it is no rival in its column, as a time of other work.
        is_code: a name from a program, which a page may show in its font for code.
    """

    figure: str
    interval: str = ""
    mark: str = ""
    value: float | None = None
    verdict: str | None = None
    is_number: bool = True
    is_best: bool = False
    competes: bool = True
    is_code: bool = False

    @property
    def parts(self) -> list[str]:
        """The figure, the interval and the mark, as far as there are any."""
        mark = f"{UNSTABLE}{self.mark}" if self.mark else ""
        return [part for part in (self.figure, self.interval, mark) if part]

    @property
    def text(self) -> str:
        """The whole cell in one line."""
        return " ".join(self.parts)


class Head(NamedTuple):
    """The head of a column.

    Args:
        name: with the unit; a line break shows where a narrow page may break it.
        is_text: aligned to the left, as text is.
        is_detail: left out on a narrow page.
    """

    name: str
    is_text: bool = False
    is_detail: bool = False

    @property
    def lines(self) -> list[str]:
        """The lines on a narrow page."""
        return self.name.split("\n")

    @property
    def line(self) -> str:
        return " ".join(self.lines)


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Args:
        name: unique within the table.
        cells: one per column; only those of the key columns if the row has no figures.
        status: ``ok``, ``skipped`` or ``failed``.
        reason: why the row has no figures; None if it has.
        status_in_words: the same as ``status``, or more exactly; shown before the reason.
        is_chosen: the row of the recommended format, or of the chosen recipe.
        group: the name of the group that the row belongs to; "" without groups.
    """

    name: str
    cells: Sequence[Cell]
    status: str = "ok"
    reason: str | None = None
    status_in_words: str = ""
    is_chosen: bool = False
    group: str = ""


class Group(NamedTuple):
    """Rows of a table that belong together.

    Args:
        name: above the rows; "" for a table without groups.
        rows: from top to bottom.
    """

    name: str
    rows: list[TableRow]


class Folded(NamedTuple):
    """Rows that a table leaves out, in words.

    Args:
        summary: their number, as in "3 not measured".
        items: a line for each reason, which names its rows.
    """

    summary: str
    items: Sequence[str]

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{self.summary}: {'; '.join(self.items)}"


@dataclass(frozen=True)
class Table:
    """A table as plain text.

    Args:
        caption: the contents in a few words.
        heads: one per column.
        rows: from top to bottom.
        keys: number of leading columns that name a row; 0 if rows are ranked instead.
        folded: the rows without figures if the table leaves them out; None if it does not.
    """

    caption: str
    heads: Sequence[Head]
    rows: Sequence[TableRow]
    keys: int = 1
    folded: Folded | None = None

    @property
    def measured(self) -> list[TableRow]:
        """The rows that have figures."""
        return [row for row in self.rows if row.status == "ok"]

    @property
    def groups(self) -> list[Group]:
        """The rows by group, from top to bottom; one group without a name if there are none."""
        return _grouped(self.rows)

    @property
    def measured_groups(self) -> list[Group]:
        """The rows that have figures, by group."""
        return _grouped(self.measured)

    @classmethod
    def of_text(
        cls,
        caption: str,
        heads: Sequence[Head],
        rows: Sequence[Sequence[str]],
        chosen: int | None = None,
    ) -> Table:
        """Return a table of texts.

        Args:
            caption: the contents in a few words.
            heads: one per column.
            rows: cells from left to right; the first one names the row.
            chosen: the index of the chosen row.
        """
        return cls(
            caption,
            heads,
            [
                TableRow(cells[0], [Cell(cell) for cell in cells], is_chosen=number == chosen)
                for number, cells in enumerate(rows)
            ],
        )


def _grouped(rows: Sequence[TableRow]) -> list[Group]:
    by_name = itertools.groupby(rows, key=lambda row: row.group)
    return [Group(name, list(of_group)) for name, of_group in by_name]


NO_TABLE = Table("", (), ())


@dataclass(frozen=True)
class Section:
    """A titled part of a report.

    Args:
        title: the heading.
        sentences: text before the table.
        table: the table; it has no heads if the section has no table.
        notes: text after the table: the meaning of its columns and marks.
    """

    title: str
    sentences: Sequence[str] = ()
    table: Table = NO_TABLE
    notes: Sequence[str] = ()


class Fact(NamedTuple):
    """A named value, such as the CPU of a measurement."""

    name: str
    text: str


@dataclass(frozen=True)
class Column(Generic[RowT]):
    """A column of a table as a function from a row to its cell.

    Args:
        head: see :class:`Head`.
        cell: returns the cell of a row.
        is_text: aligned to the left.
        is_detail: left out on a narrow page.
        best: ``min`` or ``max`` of the values; None if no value is better than another.
    """

    head: str
    cell: Callable[[RowT], Cell]
    is_text: bool = False
    is_detail: bool = False
    best: Callable[..., Any] | None = None


def text_column(head: str, text: Callable[[RowT], str], *, is_detail: bool = False) -> Column[RowT]:
    """Return a column of plain text."""
    return Column(head, lambda row: Cell(text(row)), is_text=True, is_detail=is_detail)


def tabulate(
    caption: str,
    columns: Sequence[Column[RowT]],
    rows: Sequence[RowT],
    name: Callable[[RowT], str],
    is_chosen: Callable[[RowT], bool] = lambda _: False,
    group: Callable[[RowT], str] = lambda _: "",
) -> Table:
    """Return the table of rows that all have figures, with the best cell of each column marked.

    Args:
        caption: the contents in a few words.
        columns: from left to right.
        rows: from top to bottom.
        name: returns the name of a row, unique within the table.
        is_chosen: returns True for the recommended row.
        group: returns the name of the group of a row; rows of a group follow each other.
    """
    by_column = [_with_best(column, [column.cell(row) for row in rows]) for column in columns]
    return Table(
        caption,
        [Head(column.head, column.is_text, column.is_detail) for column in columns],
        [
            TableRow(
                name(row),
                [cells[number] for cells in by_column],
                is_chosen=is_chosen(row),
                group=group(row),
            )
            for number, row in enumerate(rows)
        ],
    )


def _with_best(column: Column[RowT], cells: list[Cell]) -> list[Cell]:
    """Mark the best cell, and every cell that shows the same figure after rounding."""
    valued = [cell for cell in cells if cell.value is not None and cell.competes]
    if column.best is None or len(valued) < 2:  # noqa: PLR2004  # a single one has no rival
        return cells
    best: Cell = column.best(valued, key=lambda cell: cell.value)
    if not best.is_number:
        return cells
    return [replace(cell, is_best=cell.competes and cell.figure == best.figure) for cell in cells]


def number(value: float | None, scale: float, digits: int, *, sign: bool = False) -> str:
    """Return ``value * scale`` with ``digits`` digits after the point; ``MISSING`` for None."""
    if value is None:
        return MISSING
    return f"{value * scale:{'+' if sign else ''}.{digits}f}"
