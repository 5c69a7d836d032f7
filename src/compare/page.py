"""Output of a comparison: console, Markdown, and a self-contained HTML page."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

from rich.console import Console

from src.compare import embedded
from src.compare.candidate import Candidate
from src.compare.comparison import Comparison
from src.report.charts.chart import Chart
from src.report.charts.style import colors
from src.report.charts.tradeoff import point_of, tradeoff, tradeoff_in_words
from src.report.document import Table, tabulate
from src.report.writers import html
from src.report.writers.console import rich_table, show_lines
from src.report.writers.markdown import bold, items, table_lines


def show(comparison: Comparison, console: Console) -> None:
    """Print the table, its notes, and the answer last."""
    on_front = comparison.on_front
    table = _table(comparison, is_chosen=lambda candidate: candidate.key in on_front)
    console.print(rich_table(table, narrow=console.is_terminal, bold_chosen=True))
    if embedded_files := embedded.table(comparison.measurements):
        title = embedded_files.caption
        console.print(rich_table(embedded_files, narrow=console.is_terminal, title=title))
    show_lines(comparison.notes(), console)
    show_lines(comparison.answers(), console, style="bold")


def markdown_page(comparison: Comparison) -> str:
    """Return the comparison in GitHub's Markdown."""
    lines = [
        "# Comparison",
        "",
        *(f"{bold(answer)}\n" for answer in comparison.answers()),
        *table_lines(_table(comparison)),
        "",
        *_embedded_lines(comparison),
        *items(comparison.notes()),
    ]
    return "\n".join(lines) + "\n"


def _embedded_lines(comparison: Comparison) -> list[str]:
    shown = embedded.table(comparison.measurements)
    return [bold(shown.caption), "", *table_lines(shown), ""] if shown else []


def html_page(comparison: Comparison) -> str:
    """Return the comparison as HTML."""
    about = ", ".join(measured.name for measured in comparison.measurements)
    shown = _contents(comparison, charts(comparison))
    template = html.environment().get_template("compare.html")
    return template.render(
        shown, title="Comparison", about=about, problems=(), anchors=True, attributes=()
    )


def html_fragment(comparison: Comparison, problems: Sequence[str] = ()) -> str:
    """Return the comparison as HTML for another page.

    Args:
        comparison: the comparison; each row of its table names the file in data attributes.
        problems: sentences on runs that are not in the comparison.
    """
    shown = _contents(comparison, html.with_unique_ids(charts(comparison)))
    attributes = [
        html.file_attributes(candidate.row, run=candidate.run) for candidate in comparison.rows()
    ]
    template = html.environment().get_template("comparison.html")
    return template.render(shown, problems=problems, anchors=False, attributes=attributes)


def _contents(comparison: Comparison, charts: Sequence[Chart]) -> dict[str, object]:
    """Return the variables of ``comparison.html``."""
    return {
        "sentences": comparison.answers(),
        "table": _table(comparison),
        "embedded": embedded.table(comparison.measurements),
        "notes": comparison.notes(),
        "charts": charts,
    }


def _table(
    comparison: Comparison, is_chosen: Callable[[Candidate], bool] = lambda _: False
) -> Table:
    """Return the table, with one row per candidate."""
    return tabulate(
        "Size, accuracy and latency of every model and format",
        comparison.columns(),
        comparison.rows(),
        name=lambda candidate: " ".join(candidate.row.key),
        is_chosen=is_chosen,
        group=comparison.order.group,
    )


def charts(comparison: Comparison) -> list[Chart]:
    """Return a chart of latency against accuracy for each testbed and test set."""
    drawn = []
    color_of = colors([candidate.model for candidate in comparison.candidates])
    for number, ((testbed, test_set), group) in enumerate(comparison.groups.items()):
        points = []
        for candidate in group:
            point = point_of(
                candidate.name, candidate.row, candidate.cell, color_of[candidate.model]
            )
            point = dataclasses.replace(point, holds=candidate.is_ranked)
            points.append(point.as_baseline() if candidate.is_baseline else point)
        drawn.append(
            Chart(
                f"tradeoff-{number}",
                f"Latency against accuracy, batch {comparison.size}, on {testbed}; {test_set}",
                tradeoff_in_words(points),
                functools.partial(tradeoff, points),
            )
        )
    return drawn
