"""The training as a chart: losses and validation accuracy over the epochs."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from src.report.charts.chart import Chart
from src.report.charts.style import FAINT, WIDE

Row = dict[str, Any]

_CURVES = {"train_loss": "#7d8590", "val_loss": "#2f7fd1"}
_TOP1 = "val_top1"


def curves_of(results: Row) -> Row:
    """The curves that can be drawn, by name."""
    curves = results.get("training") or {}
    return {name: curves[name] for name in (*_CURVES, _TOP1) if name in curves}


def training(results: Row) -> Chart:
    curves = curves_of(results)
    shipped = results["checkpoint"]["epoch"] + 1
    last = max(curve["epochs"][-1] for curve in curves.values())
    words = f"Losses and validation top-1 over {last:g} epochs; epoch {shipped} is exported."
    if _TOP1 in curves:
        words += f" The last top-1 is {100 * curves[_TOP1]['values'][-1]:.2f} %."

    def drawn(width: float) -> Figure:
        lines = 1 if width >= WIDE else 2
        figure = Figure(figsize=(width, 2.9 * lines), layout="constrained")
        losses, accuracies = figure.subplots(lines, 3 - lines).flat
        for name, label in (("train_loss", "training"), ("val_loss", "validation")):
            if name in curves:
                mark = "" if name == "train_loss" else "o"
                losses.plot(
                    curves[name]["epochs"],
                    curves[name]["values"],
                    marker=mark,
                    markersize=3.5,
                    linewidth=1.4,
                    label=label,
                    color=_CURVES[name],
                )
        losses.set_ylabel("loss")
        if losses.lines:
            losses.legend()
        if _TOP1 in curves:
            accuracies.plot(
                curves[_TOP1]["epochs"],
                [100 * value for value in curves[_TOP1]["values"]],
                marker="o",
                markersize=3.5,
                linewidth=1.4,
                color=_CURVES["val_loss"],
            )
        accuracies.set_ylabel("validation top-1, %")
        for axes in (losses, accuracies):
            axes.axvline(shipped, color=FAINT, linestyle=(0, (4, 3)), linewidth=1.2)
            axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
            axes.set_xlabel("epoch; dashed: the exported one")
            axes.grid(visible=True)
        return figure

    return Chart("training", "Training", words, drawn)
