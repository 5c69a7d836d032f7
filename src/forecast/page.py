"""Output of a forecast: console, Markdown, and a self-contained HTML page."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from src.forecast.records import (
    NO_TRAINING_TIME,
    Candidate,
    FileCost,
    Forecast,
    Timing,
    own_width_line,
)
from src.report.charts.chart import Chart
from src.report.charts.complexity import Point, complexity, complexity_in_words
from src.report.document import MISSING, Cell, Column, Table, number, tabulate, text_column
from src.report.sections import speedups
from src.report.writers import html
from src.report.writers.console import rich_table, show_lines
from src.report.writers.markdown import items, table_lines

TITLE = "Forecast"
NOTES = (
    "The weights are those of a few training steps, so there is no accuracy. Size, latency and "
    "memory do not depend on the values of the weights.",
    "An int8 file that keeps the accuracy of a trained network may keep some layers in float, and "
    "is then slower and larger than here.",
    "Pipeline: from the bytes of an image file to its label, one image a call, decoded by Pillow.",
    "Training: the time of the configured epochs, without validation, export and measurement, and "
    "the peak memory of its process, without the processes that load images.",
)


@dataclass(frozen=True)
class _Row:
    candidate: Candidate
    file: FileCost
    timing: Timing

    @property
    def name(self) -> str:
        device = f" {self.file.device}" if self.file.device != "cpu" else ""
        batch = f" batch {self.timing.batch_size}" if self.timing.batch_size > 1 else ""
        size = self.candidate.image_size
        return f"{self.candidate.network} {size} px {self.file.format}{device}{batch}"


def show(made: Forecast, console: Console) -> None:
    """Print the table and its notes."""
    console.print(rich_table(_table(made), narrow=console.is_terminal))
    show_lines([*_unmeasured(made), *NOTES], console)


def markdown_page(made: Forecast) -> str:
    """Return the forecast in GitHub's Markdown."""
    lines = [
        f"# {TITLE}",
        "",
        f"{made.environment.processor}, {made.environment.threads} threads, {made.made_at}",
        "",
        *table_lines(_table(made)),
        "",
        *items([*_unmeasured(made), *NOTES]),
    ]
    return "\n".join(lines) + "\n"


def html_page(made: Forecast) -> str:
    """Return the forecast as HTML."""
    return (
        html.environment()
        .get_template("forecast.html")
        .render(
            title=TITLE,
            about=f"{made.environment.processor}, {made.environment.threads} threads, "
            f"{made.made_at}",
            command=made.command,
            table=_table(made),
            notes=[*_unmeasured(made), *NOTES],
            charts=_charts(made),
        )
    )


def _rows(made: Forecast) -> list[_Row]:
    return [
        _Row(candidate, file, timing)
        for candidate in made.candidates
        for file in candidate.files
        if (timing := file.compared)
    ]


def _table(made: Forecast) -> Table:
    """Return the table, with one row per network, image size and format."""
    rows = _rows(made)
    columns: list[Column[_Row]] = [
        text_column("network", lambda row: row.candidate.network),
        Column("px", lambda row: Cell(str(row.candidate.image_size))),
        text_column("format", lambda row: row.file.format),
        _figure("size\nMB", lambda row: row.file.size_bytes, 1e-6, 1, best=min),
        _latency(),
        Column("times\neager", lambda row: speedups.cell(row.timing.speedup)),
        _figure("pipeline\nms", lambda row: row.file.pipeline_p50_s, 1e3, 2),
        _figure("memory\nMB", lambda row: row.timing.peak_rss_bytes, 1e-6, 0),
        _figure("parameters\nM", lambda row: row.candidate.parameters, 1e-6, 2),
        _figure("GMACs", lambda row: row.candidate.macs, 1e-9, 3),
        _figure("training\nimages/s", _images_per_second, 1, 0),
        _figure("training\nminutes", _training_seconds, 1 / 60, 1),
        _figure("training\nMB", _training_memory, 1e-6, 0),
    ]
    if any(_training_device_memory(row) for row in rows):
        columns.append(_figure("training\nGPU MB", _training_device_memory, 1e-6, 0))
    if any(row.timing.batch_size > 1 for row in rows):
        columns.insert(3, Column("batch", lambda row: Cell(str(row.timing.batch_size))))
    if len({row.file.device for row in rows}) > 1:
        columns.insert(3, text_column("device", lambda row: row.file.device))
    return tabulate("Cost of each network and format", columns, rows, name=lambda row: row.name)


def _figure(
    head: str,
    amount: Callable[[_Row], float | None],
    scale: float,
    digits: int,
    best: Callable[..., Any] | None = None,
) -> Column[_Row]:
    def cell(row: _Row) -> Cell:
        return Cell(number(amount(row), scale, digits), value=amount(row))

    return Column(head, cell, best=best)


def _latency() -> Column[_Row]:
    def cell(row: _Row) -> Cell:
        mark = row.timing.unstable[0] if row.timing.unstable else ""
        return Cell(number(row.timing.p50_s, 1e3, 2), mark=mark, value=row.timing.p50_s)

    return Column("p50\nms", cell, best=min)


def _images_per_second(row: _Row) -> float | None:
    return row.candidate.training.images_per_second if row.candidate.training else None


def _training_seconds(row: _Row) -> float | None:
    return row.candidate.training.seconds if row.candidate.training else None


def _training_memory(row: _Row) -> int | None:
    return row.candidate.training.peak_rss_bytes if row.candidate.training else None


def _training_device_memory(row: _Row) -> int | None:
    return row.candidate.training.peak_device_bytes if row.candidate.training else None


def _unmeasured(made: Forecast) -> Iterator[str]:
    """Yield a sentence on each candidate, width and format without figures."""
    if made.own_width_only:
        yield own_width_line(made.own_width_only)
    for candidate in made.candidates:
        if candidate.status != "ok":
            yield f"{candidate.name} failed: {candidate.reason or MISSING}"
        elif candidate.training is None:
            yield f"{candidate.name}: {NO_TRAINING_TIME}"
        timed = {file.format for file in candidate.files if file.timings}
        for file in candidate.files:
            # A format that was measured on another device does not need a line.
            if file.status == "failed" or (file.status == "skipped" and file.format not in timed):
                where = f"{candidate.name}, {file.format} on {file.device}"
                yield f"{where} {file.status}: {file.reason or MISSING}"


def _charts(made: Forecast) -> list[Chart]:
    """Return the charts of latency against the size of the computation and of the network."""
    rows = [row for row in _rows(made) if row.candidate.macs and row.candidate.parameters]
    if not rows:
        return []
    charts = []
    for name, title, axis, value in (
        ("macs", "Latency against multiply-accumulates", "GMACs", _gmacs),
        ("parameters", "Latency against parameters", "million parameters", _millions),
    ):
        points = [
            Point(
                label=row.name,
                group=row.file.format,
                amount=value(row),
                seconds=row.timing.p50_s,
                low_seconds=row.timing.low_s,
                high_seconds=row.timing.high_s,
            )
            for row in rows
        ]
        drawn = functools.partial(complexity, points, axis)
        charts.append(Chart(name, title, complexity_in_words(points, axis), drawn))
    return charts


def _gmacs(row: _Row) -> float:
    return (row.candidate.macs or 0) / 1e9


def _millions(row: _Row) -> float:
    return (row.candidate.parameters or 0) / 1e6
