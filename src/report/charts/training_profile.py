"""Charts of a training's profile: the parts of a step, and memory over time."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure

from src.report.charts.style import PART_COLORS
from src.report.sections.profile import parts_of
from src.run.training_profile import TrainingProfile, Window


def figures(profile: TrainingProfile) -> Iterator[tuple[str, Figure]]:
    """Yield the charts by name: the parts of a step, and the memory of each stage's last window."""
    if profile.windows:
        yield "steps", _split(profile)
    windows = [window for window in profile.latest if window.memory]
    if windows:
        yield "memory", _memory(windows)


def _split(profile: TrainingProfile) -> Figure:
    windows = profile.windows
    figure = Figure(figsize=(8, 1.2 + 0.45 * len(windows)), layout="constrained")
    axes = figure.subplots()
    left = [0.0] * len(windows)
    for name in parts_of(profile):
        values = [1e3 * window.regions.get(name, 0.0) for window in windows]
        axes.barh(range(len(windows)), values, left=left, color=PART_COLORS[name], label=name)
        left = [start + value for start, value in zip(left, values, strict=True)]
    axes.set_yticks(range(len(windows)), [window.label for window in windows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("ms a step, profiled")
    axes.set_title("Where a step's time goes", fontsize=9)
    figure.legend(fontsize=7, loc="outside lower center", ncols=len(PART_COLORS))
    return figure


def _memory(windows: list[Window]) -> Figure:
    figure = Figure(figsize=(8, 2.4 * len(windows)), layout="constrained")
    all_axes = figure.subplots(len(windows), squeeze=False).flat
    for axes, window in zip(all_axes, windows, strict=True):
        for name, curve in window.memory.items():
            start, _ = curve[0]
            axes.plot(
                [1e3 * (moment - start) for moment, _ in curve],
                [size / 1e6 for _, size in curve],
                label=name,
                linewidth=1,
            )
        axes.set_title(f"Memory since the window began: {window.label}", fontsize=9)
        axes.set_xlabel("ms")
        axes.set_ylabel("MB")
        axes.legend(fontsize=7)
    return figure
