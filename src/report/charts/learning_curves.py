"""Chart of the training: losses and validation accuracy over the epochs."""

from __future__ import annotations

import functools

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from src.report.charts.chart import Chart
from src.report.charts.style import CURVE_COLORS, FAINT, WIDE
from src.run.latency import Curve
from src.run.results import Results, TrainingCurves

_LOSSES = {"train_loss": "training", "val_loss": "validation"}
_TOP1 = "val_top1"


def training_chart(results: Results) -> Chart | None:
    """Return the chart of the training; None if no curve was recorded."""
    stored = results.training or TrainingCurves()
    by_name = {
        "train_loss": stored.train_loss,
        "val_loss": stored.val_loss,
        _TOP1: stored.val_top1,
    }
    curves = {name: curve for name, curve in by_name.items() if curve is not None}
    if not curves:
        return None
    exported = results.checkpoint.epoch + 1
    last = max(curve.epochs[-1] for curve in curves.values())
    words = f"Losses and validation top-1 over {last:g} epochs; epoch {exported} is exported."
    if _TOP1 in curves:
        words += f" The last top-1 is {100 * curves[_TOP1].values[-1]:.2f} %."
    return Chart("training", "Training", words, functools.partial(_curves, curves, exported))


def _curves(curves: dict[str, Curve], exported: int, width: float) -> Figure:
    lines = 1 if width >= WIDE else 2
    figure = Figure(figsize=(width, 2.9 * lines), layout="constrained")
    losses, accuracies = figure.subplots(lines, 3 - lines).flat
    for name, label in _LOSSES.items():
        if name in curves:
            losses.plot(
                curves[name].epochs,
                curves[name].values,
                marker="" if name == "train_loss" else "o",
                markersize=3.5,
                linewidth=1.4,
                label=label,
                color=CURVE_COLORS[name],
            )
    losses.set_ylabel("loss")
    if losses.lines:
        losses.legend()
    if _TOP1 in curves:
        accuracies.plot(
            curves[_TOP1].epochs,
            [100 * value for value in curves[_TOP1].values],
            marker="o",
            markersize=3.5,
            linewidth=1.4,
            color=CURVE_COLORS[_TOP1],
        )
    accuracies.set_ylabel("validation top-1, %")
    for axes in (losses, accuracies):
        axes.axvline(exported, color=FAINT, linestyle=(0, (4, 3)), linewidth=1.2)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_xlabel("epoch; dashed: the exported one")
        axes.grid(visible=True)
    return figure
