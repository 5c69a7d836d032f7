"""The comparison on a screen, as Markdown and as a page that needs nothing but itself."""

from __future__ import annotations

import dataclasses
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from src.compare.comparison import Comparison
from src.report.charts.chart import Chart
from src.report.charts.style import colors
from src.report.charts.tradeoff import points_of, tradeoff, tradeoff_in_words
from src.report.writers import html
from src.report.writers.html_table import grid
from src.report.writers.markdown_table import items, markdown_table
from src.run.layout import as_dict
from src.system import quoting


def show(comparison: Comparison, console: Console) -> None:
    """Print the table, what it means, and the answer last."""
    shown = comparison.columns()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    narrow = console.is_terminal
    for column in shown:
        table.add_column(
            column.head if narrow else column.head.replace("\n", " "),
            justify="left" if column.text else "right",
            no_wrap=not narrow,
            vertical="bottom",
        )
    for row in comparison.rows():
        table.add_row(*(column.cell(row) for column in shown), style="bold" if row["front"] else "")
    console.print(table)
    for note in comparison.notes():
        console.print(note, soft_wrap=True)
    for answer in comparison.answers():
        console.print(answer, soft_wrap=True, style="bold")


def markdown(comparison: Comparison) -> str:
    """The comparison in GitHub's Markdown."""
    results = {"rows": comparison.rows()}
    lines = [
        "# Comparison",
        "",
        *(f"**{quoting.markdown(answer)}**\n" for answer in comparison.answers()),
        markdown_table(results, comparison.columns()),
        "",
        *items(comparison.notes()),
    ]
    return "\n".join(lines) + "\n"


def page(comparison: Comparison) -> str:
    """The comparison as HTML."""
    results: dict[str, Any] = {"rows": comparison.rows()}
    return (
        html.environment()
        .get_template("compare.html")
        .render(
            title="Comparison",
            about=", ".join(measured.name for measured in comparison.measurements),
            sentences=comparison.answers(),
            table=grid(results, comparison.columns()),
            notes=comparison.notes(),
            charts=[html.drawn(chart) for chart in _charts(comparison)],
        )
    )


def _charts(comparison: Comparison) -> list[Chart]:
    """Latency against accuracy, one for each place and set of images."""
    found = []
    tint = colors([each.model for each in comparison.candidates])
    for number, ((testbed, test_set), group) in enumerate(comparison.groups.items()):
        points = [
            # A baseline has no interval to itself.
            dataclasses.replace(point, low_top1=point.top1, high_top1=point.top1)
            if each.is_baseline
            else point
            for each in group
            for point in points_of(
                [(each.name, as_dict(each.row), as_dict(each.cell), tint[each.model])]
            )
        ]
        found.append(
            Chart(
                f"tradeoff-{number}",
                f"Latency against accuracy, batch {comparison.size}, on {testbed}; {test_set}",
                tradeoff_in_words(points),
                lambda width, points=points: tradeoff(points, width),  # type: ignore[misc]
            )
        )
    return found
