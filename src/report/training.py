"""What a training's profile says: in words, tables and pictures, in TensorBoard and printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console

from src.system import quoting

STAGES = {"train": "training", "val": "validation"}
MOST_OPERATORS = 10

# From which share of a step on each part is worth a word, and what to try then.
_NOTEWORTHY = {"data loading": 0.2, "data to device": 0.15, "optimizer": 0.25, "other": 0.3}
_COLORS = {
    "data loading": "#b3261e",
    "data to device": "#e07b39",
    "forward": "#1f5fa8",
    "backward": "#4f93d2",
    "optimizer": "#1e6b34",
    "other": "#8a8a8a",
}


def report(profile: dict[str, Any], folder: Path, console: Console) -> None:
    """Show a training's profile: a sentence on the screen, the rest in TensorBoard.

    Args:
        profile: the content of ``profile/rank0.json``.
        folder: the run's.
        console: where to print.
    """
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        writer.add_text("profile/summary", "\n\n".join(map(quoting.markdown, sentences(profile))))
        writer.add_text("profile/steps", steps_table(profile))
        for window in _latest(profile):
            writer.add_text(f"profile/operators/{window['stage']}", operators_table(window))
        for name, figure in figures(profile):
            writer.add_figure(f"profile/{name}", figure)
    for sentence in sentences(profile):
        console.print(sentence, soft_wrap=True)


def sentences(profile: dict[str, Any]) -> list[str]:
    """What dominates a step and what to try, what went wrong, and where the traces are."""
    lines = [
        _dominant(window, profile["context"])
        for window in _latest(profile)
        if window["stage"] == "train"
    ]
    lines += [f"Profile: {note}." for note in profile["notes"]]
    traces = [window for window in profile["windows"] if window["file"]]
    if traces:
        size = sum(window["bytes"] for window in traces)
        lines.append(
            f"{len(traces)} trace{'s' if len(traces) > 1 else ''} ({size / 1e6:.1f} MB) in "
            "profile/, for TensorBoard's profiler tab, ui.perfetto.dev and chrome://tracing."
        )
    elif not profile["notes"]:
        lines.append("Profile: the training ended before a window of steps was reached.")
    return lines


def steps_table(profile: dict[str, Any]) -> str:
    """Where a step's time goes: a line a window, a column a part of the step."""
    names = _parts(profile)
    head = ["window", "steps", "ms a step", *(f"{name} %" for name in names)]
    lines = [_row(head), _row(["---", *["---:"] * (len(head) - 1)])]
    for window in profile["windows"]:
        whole = _mean(window["step_seconds"])
        shares = [
            f"{100 * window['regions'].get(name, 0.0) / whole:.1f}" if whole else "-"
            for name in names
        ]
        lines.append(
            _row([_label(window), str(len(window["step_seconds"])), f"{1e3 * whole:.1f}", *shares])
        )
    if any(window["device"] for window in profile["windows"]):
        lines += ["", "Work on the device, by the part that asked for it, ms a step:", ""]
        lines += [_row(["window", *names]), _row(["---", *["---:"] * len(names)])]
        lines += [
            _row([_label(window), *(f"{1e3 * window['device'].get(n, 0.0):.2f}" for n in names)])
            for window in profile["windows"]
        ]
    return "\n".join(lines)


def operators_table(window: dict[str, Any]) -> str:
    """The operators with the most time of their own in one window."""
    whole = _mean(window["step_seconds"])
    head = ["operator", "self ms a step", "% of the step", "calls a step", "MB it keeps"]
    lines = [_row(head), _row(["---", *["---:"] * (len(head) - 1)])]
    for operator in window["operators"][:MOST_OPERATORS]:
        share = operator["self_seconds"] / whole if whole else 0.0
        lines.append(
            _row(
                [
                    quoting.markdown_code(operator["name"], in_table=True),
                    f"{1e3 * operator['self_seconds']:.2f}",
                    f"{100 * share:.1f}",
                    f"{operator['calls']:.0f}",
                    f"{operator['allocated_bytes'] / 1e6:.2f}",
                ]
            )
        )
    return "\n".join(lines)


def figures(profile: dict[str, Any]) -> Iterator[tuple[str, Figure]]:
    """The split of a step in each window, and the memory within the last ones."""
    if profile["windows"]:
        yield "steps", _split(profile)
    curves = [window for window in _latest(profile) if window["memory"]]
    if curves:
        yield "memory", _memory(curves)


def _dominant(window: dict[str, Any], context: dict[str, Any]) -> str:
    whole = _mean(window["step_seconds"])
    shares = {name: value / whole for name, value in window["regions"].items()} if whole else {}
    worth = {
        name: shares.get(name, 0.0)
        for name, least in _NOTEWORTHY.items()
        if shares.get(name, 0.0) >= least
    }
    largest = max(worth, key=lambda name: worth[name], default=None)
    if largest is None:
        computing = shares.get("forward", 0.0) + shares.get("backward", 0.0)
        name = window["operators"][0]["name"] if window["operators"] else "unknown"
        share = window["operators"][0]["self_seconds"] / whole if window["operators"] else 0.0
        return (
            f"Profile: {computing:.0%} of a training step computes (forward and backward), the "
            f"most in {name} ({share:.0%}); {_computing(context)}"
        )
    return f"Profile: {worth[largest]:.0%} of a training step {_advice(largest, context)}"


def _computing(context: dict[str, Any]) -> str:
    # A profile of an earlier version does not say it.
    gains = context["device"] != "cpu" or context.get("faster_in_bfloat16", True)
    if context["precision"] == "32-true" and gains:
        return (
            "where the hardware has 16-bit products, trainer.precision=bf16-mixed is worth a try."
        )
    return "fewer pixels (data.image_size) or a smaller network would be faster, not the settings."


def _advice(part: str, context: dict[str, Any]) -> str:
    if part == "data loading":
        workers = context["num_workers"]
        return f"waits for data: raise data.num_workers (now {workers}), or use smaller pictures."
    if part == "data to device":
        return "copies images to the device: a smaller data.image_size copies less."
    if part == "optimizer":
        return (
            "updates weights, which costs the same for any batch: raise data.batch_size "
            f"(now {context['batch_size']})."
        )
    return (
        "is neither data nor network nor optimizer: callbacks and logging; raise "
        f"trainer.log_every_n_steps (now {context['log_every_n_steps']})."
    )


def _latest(profile: dict[str, Any]) -> list[dict[str, Any]]:
    """The last window of each stage: early ones hold what is done only once."""
    latest = {window["stage"]: window for window in profile["windows"] if window["step_seconds"]}
    return list(latest.values())


def _parts(profile: dict[str, Any]) -> list[str]:
    present = {name for window in profile["windows"] for name in window["regions"]}
    return [name for name in _COLORS if name in present]


def _label(window: dict[str, Any]) -> str:
    return f"{STAGES[window['stage']]}, epoch {window['epoch']}"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _split(profile: dict[str, Any]) -> Figure:
    windows = profile["windows"]
    figure = Figure(figsize=(8, 1.2 + 0.45 * len(windows)), layout="constrained")
    place = figure.subplots()
    left = [0.0] * len(windows)
    for name in _parts(profile):
        values = [1e3 * window["regions"].get(name, 0.0) for window in windows]
        place.barh(range(len(windows)), values, left=left, color=_COLORS[name], label=name)
        left = [a + b for a, b in zip(left, values, strict=True)]
    place.set_yticks(range(len(windows)), [_label(window) for window in windows], fontsize=8)
    place.invert_yaxis()
    place.set_xlabel("ms a step, profiled")
    place.set_title("Where a step's time goes", fontsize=9)
    figure.legend(fontsize=7, loc="outside lower center", ncols=len(_COLORS))
    return figure


def _memory(windows: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(8, 2.4 * len(windows)), layout="constrained")
    places = figure.subplots(len(windows), squeeze=False).flat
    for place, window in zip(places, windows, strict=True):
        for name, curve in window["memory"].items():
            start = curve[0][0]
            place.plot(
                [1e3 * (moment - start) for moment, _ in curve],
                [size / 1e6 for _, size in curve],
                label=name,
                linewidth=1,
            )
        place.set_title(f"Memory since the window began: {_label(window)}", fontsize=9)
        place.set_xlabel("ms")
        place.set_ylabel("MB")
        place.legend(fontsize=7)
    return figure
