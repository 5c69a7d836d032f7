"""Charts of a measured run: latency against accuracy, latencies, sizes, pipelines, the training."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from src.report.charts.chart import Chart
from src.report.charts.latency import latency_chart
from src.report.charts.learning_curves import training_chart
from src.report.charts.pipeline import pipeline_chart
from src.report.charts.size import size_chart
from src.report.charts.style import colors
from src.report.charts.tradeoff import points_of_run, tradeoff, tradeoff_in_words
from src.report.sections.rows import batch_sizes, measured
from src.run.results import Results
from src.run.row import Row


def charts(results: Results) -> Iterator[Chart]:
    """Yield the charts for which there are figures."""
    if (by_latency := tradeoff_chart(results)) is not None:
        yield by_latency
    rows, color_of = _timed(results)
    for size in batch_sizes(results):
        yield latency_chart(rows, size, color_of)
    if rows:
        yield size_chart(rows, color_of)
    if (by_stage := pipeline_chart(rows)) is not None:
        yield by_stage
    if (training := training_chart(results)) is not None:
        yield training


def tradeoff_chart(results: Results) -> Chart | None:
    """Return latency against accuracy at the smallest batch size; None without figures."""
    rows, color_of = _timed(results)
    sizes = batch_sizes(results)
    points = points_of_run(results, rows, sizes[0], color_of) if sizes else []
    if not points:
        return None
    return Chart(
        "tradeoff",
        f"Latency against accuracy, batch {sizes[0]}",
        tradeoff_in_words(points),
        functools.partial(tradeoff, points),
    )


def _timed(results: Results) -> tuple[list[Row], dict[str, str]]:
    """Return the rows that were timed, and the colour of each format."""
    rows = [row for row in measured(results) if row.latency]
    return rows, colors([row.format for row in results.rows])
