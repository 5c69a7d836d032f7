from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PathCollection

from src.report.charts import chart, style, tradeoff
from src.report.charts.measured import charts
from src.report.sections.rows import measured as measured_rows
from src.report.sections.rows import paired_of
from tests.report.pages import record
from tests.report.planted import results
from tests.report.writers.parsed_page import ROWS, page_of


def test_the_charts_show_the_figures_of_the_file() -> None:
    measured = record(results(*ROWS["many"]))
    figures = {chart.name: chart for chart in charts(measured)}
    assert list(figures) == ["tradeoff", "latency_batch_1", "latency_batch_8", "size", "training"]
    rows = measured_rows(measured)
    points = tradeoff.points_of_run(measured, rows, 1, style.colors(["eager", "onnx_int8"]))
    for point, of_row in zip(points, rows, strict=True):
        assert of_row.accuracy is not None
        assert (point.seconds, point.top1) == (of_row.latency[0].p50_s, of_row.accuracy.top1)
        assert point.bytes == of_row.size_bytes
    int8 = paired_of(rows[1])
    assert int8 is not None
    assert points[1].high_top1 - points[1].low_top1 == pytest.approx(
        int8.delta_high - int8.delta_low
    )
    assert points[0].low_top1 == points[0].high_top1 == points[0].top1  # the baseline to itself
    quarter = np.percentile(chart.samples_of(rows[1].latency[0]), 25)
    assert points[1].low_seconds == pytest.approx(min(quarter, points[1].seconds))

    (axes,) = figures["tradeoff"].draw().axes
    bubbles = [part for part in axes.collections if isinstance(part, PathCollection)]
    centres = [tuple(bubble.get_offsets()[0]) for bubble in bubbles]
    assert np.allclose(centres, [(1e3 * point.seconds, 100 * point.top1) for point in points])
    areas = [bubble.get_sizes()[0] for bubble in bubbles]
    assert areas[0] / areas[1] == pytest.approx(points[0].bytes / points[1].bytes)

    (bars,) = figures["size"].draw().axes
    assert [bar.get_width() for bar in bars.patches] == [of_row.size_bytes / 1e6 for of_row in rows]
    losses, accuracies = figures["training"].draw().axes
    assert measured.training is not None
    assert measured.training.train_loss is not None
    assert list(losses.lines[0].get_ydata()) == measured.training.train_loss.values
    assert np.allclose(accuracies.lines[0].get_ydata(), [80, 90])


def test_no_chart_is_drawn_without_figures(tmp_path: Path) -> None:
    measured = results(*ROWS["all failed"]) | {"training": None}
    assert list(charts(record(measured))) == []
    page = page_of(measured, tmp_path)
    assert not [tag for tag, _ in page.tags if tag == "svg"]
