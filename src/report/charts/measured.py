"""Charts of a measured run: latency against accuracy, latencies, sizes, the training."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from src.report.charts.chart import Chart
from src.report.charts.latency import latency_chart
from src.report.charts.learning_curves import training_chart
from src.report.charts.size import size_chart
from src.report.charts.style import colors
from src.report.charts.tradeoff import points_of_run, tradeoff, tradeoff_in_words
from src.report.sections.rows import batch_sizes, measured
from src.run.results import Results


def charts(results: Results) -> Iterator[Chart]:
    """Yield the charts for which there are figures."""
    rows = [row for row in measured(results) if row.latency]
    color_of = colors([row.format for row in results.rows])
    sizes = batch_sizes(results)
    points = points_of_run(results, rows, sizes[0], color_of) if sizes else []
    if points:
        yield Chart(
            "tradeoff",
            f"Latency against accuracy, batch {sizes[0]}",
            tradeoff_in_words(points),
            functools.partial(tradeoff, points),
        )
    for size in sizes:
        yield latency_chart(rows, size, color_of)
    if rows:
        yield size_chart(rows, color_of)
    if (training := training_chart(results)) is not None:
        yield training
