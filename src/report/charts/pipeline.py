"""Chart of the time from an image file to its label: bars divided into stages.

A row has a bar with the evaluation's decoder, and one with the decoder to ship if that is another.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from matplotlib.figure import Figure

from src.report.charts.chart import Chart, label, short_name
from src.report.charts.style import STAGE_COLORS
from src.run.pipeline import REFERENCE, STAGES, Pipeline
from src.run.row import Row

Entry = tuple[str, Pipeline]  # with its name


def pipeline_chart(rows: Sequence[Row]) -> Chart | None:
    """Return the chart of the mean time of each stage; None if no pipeline was timed."""
    entries = [(_name(row, rows, pipeline), pipeline) for row in rows for pipeline in _shown(row)]
    if not entries:
        return None
    return Chart(
        "pipeline",
        "From the image file to the label, by stage",
        " ".join(_in_words(name, pipeline) for name, pipeline in entries),
        functools.partial(_bars, entries),
    )


def _shown(row: Row) -> list[Pipeline]:
    return [*row.pipeline[:1], *row.faster_pipelines()[:1]]


def _name(row: Row, rows: Sequence[Row], pipeline: Pipeline) -> str:
    name = label(short_name(row, rows))
    suffix = pipeline.decoder.removeprefix(f"{REFERENCE}_")
    return name if pipeline.decoder == REFERENCE else f"{name}\n({suffix})"


def _in_words(name: str, pipeline: Pipeline) -> str:
    stages = ", ".join(f"{stage} {1e3 * pipeline.stages[stage].mean_s:.2f}" for stage in STAGES)
    flat = name.replace("\n", "")
    return f"{flat}: {1e3 * pipeline.whole.mean_s:.2f} ms in the mean, {stages}."


def _bars(entries: Sequence[Entry], width: float) -> Figure:
    figure = Figure(figsize=(width, 1.3 + 0.46 * len(entries)), layout="constrained")
    axes = figure.subplots()
    left = [0.0] * len(entries)
    for stage in STAGES:
        values = [1e3 * pipeline.stages[stage].mean_s for _, pipeline in entries]
        axes.barh(
            range(len(entries)),
            values,
            left=left,
            height=0.62,
            color=STAGE_COLORS[stage],
            label=stage,
        )
        left = [start + value for start, value in zip(left, values, strict=True)]
    for position, total in enumerate(left):
        axes.annotate(
            f"{total:.2f}",
            (total, position),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(entries)), [name for name, _ in entries])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.14)
    axes.set_xlabel("ms an image, mean")
    axes.grid(visible=True, axis="x")
    figure.legend(loc="outside lower center", ncols=len(STAGES), columnspacing=1.0)
    return figure
