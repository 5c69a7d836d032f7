"""The report on the console: the main table, its footnotes, and the recommendation last."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from src.report import document
from src.report.document import Cell
from src.report.sections.report import Report


def show(report: Report, console: Console) -> None:
    """Print the report."""
    narrow = console.is_terminal
    console.print(report_table(report, narrow=narrow))
    show_lines(report.unmeasured, console)
    if report.pipeline:
        show_lines(report.pipeline.sentences, console)
    if report.embedded:
        show_lines(report.embedded.sentences, console)
    if report.instruction_sets:
        show_lines(report.instruction_sets.sentences, console)
    if report.twin:
        show_lines(report.twin.sentences, console)
    if report.load:
        show_lines(report.load.sentences, console)
    show_lines(report.recommendation, console, style="bold")
    if report.warning:
        show_warning(report.warning, console)


def report_table(report: Report, *, narrow: bool = True) -> Table:
    """Return the main table without its details.

    Args:
        report: the report of a run.
        narrow: lay it out for a terminal: a row takes two lines, with an interval below its value.
            In a file or a pipe a row is one line, so that programs can read it line by line.
    """
    title = f"{report.run} on {report.machine}"
    return rich_table(report.measurements.table, narrow=narrow, title=title, wraps="times")


def rich_table(
    table: document.Table,
    *,
    narrow: bool,
    title: str | None = None,
    wraps: str = "",
    bold_chosen: bool = False,
) -> Table:
    """Return the measured rows of a table for the console.

    Args:
        table: the table.
        narrow: break heads and intervals into lines.
        title: above the table.
        wraps: part of the heads of the columns whose cells may be broken on a terminal.
        bold_chosen: print the chosen rows in bold.
    """
    shown = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1))
    kept = [number for number, head in enumerate(table.heads) if not head.is_detail]
    for head in (table.heads[number] for number in kept):
        shown.add_column(
            head.name if narrow else head.line,
            justify="left" if head.is_text else "right",
            no_wrap=not narrow or wraps not in head.name,
            vertical="bottom",
        )
    for group in table.measured_groups:
        if group.name:
            shown.add_row(Text(f"{group.name}:", style="italic"))
        for row in group.rows:
            cells = [_text(row.cells[number], narrow=narrow) for number in kept]
            shown.add_row(*cells, style="bold" if bold_chosen and row.is_chosen else "")
    return shown


def show_lines(lines: Sequence[str], console: Console, style: str | None = None) -> None:
    """Print each line without breaking it; the terminal wraps it."""
    for line in lines:
        console.print(line, soft_wrap=True, style=style)


def show_warning(warning: str, console: Console) -> None:
    """Print a warning in yellow."""
    console.print(warning, soft_wrap=True, style="yellow")


def _text(cell: Cell, *, narrow: bool) -> str:
    return cell.text.replace(" [", "\n[", 1) if narrow and cell.interval else cell.text
