"""Chart of a file under load: p50 and p99 against the rate, for each configuration."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from src.report.charts.chart import Chart
from src.report.charts.style import FAINT, colors
from src.report.sections.load import name_of
from src.run.serve_test import Configuration, Probe, ServeTest


def load_chart(record: ServeTest) -> Chart | None:
    """Return the chart; None without a probe that says something."""
    if not any(probes_of(configuration) for configuration in record.configurations):
        return None
    return Chart(
        "load",
        f"{record.format} under load: p50 and p99 against the rate",
        " ".join(_in_words(each) for each in record.configurations if probes_of(each)),
        functools.partial(_draw, record),
    )


def probes_of(configuration: Configuration) -> list[Probe]:
    """Return the probes that say something, in the order of their rates."""
    valid = [probe for probe in configuration.probes if probe.verdict != "lagged"]
    return sorted(valid, key=lambda probe: probe.rate)


def _in_words(configuration: Configuration) -> str:
    points = ", ".join(
        f"{probe.rate:.0f}/s {1e3 * probe.p99_s:.1f} ms {probe.verdict}"
        for probe in probes_of(configuration)
    )
    return f"{name_of(configuration)}, p99: {points}."


def _draw(record: ServeTest, width: float) -> Figure:
    names = [name_of(configuration) for configuration in record.configurations]
    color_of = colors(names)
    figure = Figure(figsize=(width, 0.55 * width + 0.22 * len(names)), layout="constrained")
    axes = figure.subplots()
    for name, configuration in zip(names, record.configurations, strict=True):
        _curves(axes, probes_of(configuration), color_of[name], name)
    axes.axhline(1e3 * record.p99_limit_s, color=FAINT, linewidth=1, linestyle=":")
    axes.annotate(
        "limit of the p99",
        (0.01, 1e3 * record.p99_limit_s),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
        color=FAINT,
    )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("requests a second (cross: more than can be answered)")
    axes.set_ylabel("ms (line: p99, dashed: p50)")
    axes.grid(visible=True)
    figure.legend(loc="outside lower center", ncols=1 if width < 6 else 2)  # noqa: PLR2004  # inches
    return figure


def _curves(axes: Axes, probes: Sequence[Probe], color: str, name: str) -> None:
    """Draw a line for each run: its probes have the same bursts and the same processes."""
    label: str | None = name
    for run in dict.fromkeys(probe.run for probe in probes):
        stable = [probe for probe in probes if probe.run == run and probe.verdict != "saturated"]
        rates = [probe.rate for probe in stable]
        p50, p99 = (
            [1e3 * probe.p50_s for probe in stable],
            [1e3 * probe.p99_s for probe in stable],
        )
        axes.plot(rates, p99, marker="o", markersize=4, color=color, label=label)
        axes.plot(rates, p50, linestyle="--", color=color)
        label = None
    saturated = [probe for probe in probes if probe.verdict == "saturated"]
    axes.plot(
        [probe.rate for probe in saturated],
        [1e3 * probe.p99_s for probe in saturated],
        marker="x",
        linestyle="",
        color=color,
    )
