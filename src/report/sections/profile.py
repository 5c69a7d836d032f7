"""The profile of a training: sentences on the costliest part of a step, and tables of steps."""

from __future__ import annotations

from src.report.document import MISSING, Cell, Head, Section, Table, TableRow
from src.report.narrow import transposed
from src.run.training_profile import Context, TrainingProfile, Window

MOST_OPERATORS = 10
_NAME_WIDTH = 36  # characters of an operator's name
PARTS = ("data loading", "data to device", "forward", "backward", "optimizer", "other")

# Share of a step from which on a part is mentioned.
_NOTEWORTHY = {"data loading": 0.2, "data to device": 0.15, "optimizer": 0.25, "other": 0.3}


def sections(profile: TrainingProfile) -> dict[str, list[Section]]:
    """Return all sections on a profile, by tag."""
    return {
        "summary": [Section("Summary", sentences=sentences(profile))],
        "steps": steps(profile),
        **{
            f"operators/{window.stage}": [Section("Operators", table=operators(window))]
            for window in profile.latest
        },
    }


def sentences(profile: TrainingProfile) -> list[str]:
    """Return advice on the costliest part of a step, problems of the recording, and the traces."""
    lines = [f"Profile: {sentence}" for sentence in advice(profile)]
    traces = [window for window in profile.windows if window.file]
    if traces:
        size = sum(window.bytes for window in traces)
        lines.append(
            f"{len(traces)} trace{'s' if len(traces) > 1 else ''} ({size / 1e6:.1f} MB) in "
            "profile/, for TensorBoard's tab Lightship, ui.perfetto.dev and chrome://tracing."
        )
    elif not profile.notes:
        lines.append("Profile: the training ended before a window of steps was reached.")
    return lines


def advice(profile: TrainingProfile) -> list[str]:
    """Return sentences on the costliest part of a step, and on problems of the recording."""
    sentences_on_steps = [
        _dominant(window, profile.context) for window in profile.latest if window.stage == "train"
    ]
    return [*sentences_on_steps, *(f"{note}." for note in profile.notes)]


def parts_of(profile: TrainingProfile) -> list[str]:
    """Return the parts of a step that occur in the windows."""
    present = {name for window in profile.windows for name in window.regions}
    return [name for name in PARTS if name in present]


def steps(profile: TrainingProfile) -> list[Section]:
    """Return the time of a step by part, and the work on the device if there is any.

    Each window has a column: there are fewer windows than parts.
    """
    title = "Where a step's time goes"
    shown = [Section(title, table=transposed(_split(profile)))]
    if any(window.device for window in profile.windows):
        sentence = "Work on the device, by the part that asked for it, ms a step:"
        shown.append(Section(title, sentences=[sentence], table=transposed(_device_work(profile))))
    return shown


def _split(profile: TrainingProfile) -> Table:
    """Return the share of each part of a step in percent: a row per window, a column per part."""
    names = parts_of(profile)
    heads = ["window", "steps", "ms a step", *(f"{name} %" for name in names)]
    rows = []
    for window, label in zip(profile.windows, profile.labels, strict=True):
        whole = window.mean_seconds
        shares = [
            f"{100 * window.regions.get(name, 0.0) / whole:.1f}" if whole else MISSING
            for name in names
        ]
        number = str(len(window.step_seconds))
        rows.append([label, number, f"{1e3 * whole:.1f}", *shares])
    return Table.of_text("Where a step's time goes", _heads(heads), rows)


def _device_work(profile: TrainingProfile) -> Table:
    """Return the device work per step in ms: a row per window, a column per part of the step."""
    names = parts_of(profile)
    rows = [
        [label, *(f"{1e3 * window.device.get(name, 0.0):.2f}" for name in names)]
        for window, label in zip(profile.windows, profile.labels, strict=True)
    ]
    return Table.of_text("Work on the device", _heads(["window", *names]), rows)


def operators(window: Window) -> Table:
    """Return the operators of one window with the longest self time; long names are shortened."""
    whole = window.mean_seconds
    heads = ["operator", "self ms\na step", "% of\nthe step", "calls\na step", "MB it\nkeeps"]
    rows = []
    for operator in window.operators[:MOST_OPERATORS]:
        share = operator.self_seconds / whole if whole else 0.0
        figures = [
            f"{1e3 * operator.self_seconds:.2f}",
            f"{100 * share:.1f}",
            f"{operator.calls:.0f}",
            f"{operator.allocated_bytes / 1e6:.2f}",
        ]
        cells = [Cell(_shortened(operator.name), is_code=True), *map(Cell, figures)]
        rows.append(TableRow(operator.name, cells))
    return Table(f"Operators of {window.label}", _heads(heads), rows)


def _shortened(name: str) -> str:
    """Return a name without its middle if it would make the table too wide for the Text tab."""
    if len(name) <= _NAME_WIDTH:
        return name
    return f"{name[: _NAME_WIDTH // 2]}…{name[-(_NAME_WIDTH // 2 - 1) :]}"


def _heads(names: list[str]) -> list[Head]:
    first, *numeric = names
    return [Head(first, is_text=True), *map(Head, numeric)]


def _dominant(window: Window, context: Context) -> str:
    whole = window.mean_seconds
    shares = {name: value / whole for name, value in window.regions.items()} if whole else {}
    noteworthy = {
        name: share
        for name, least in _NOTEWORTHY.items()
        if (share := shares.get(name, 0.0)) >= least
    }
    largest = max(noteworthy, key=lambda name: noteworthy[name], default=None)
    if largest is not None:
        return f"{noteworthy[largest]:.0%} of a training step {_advice(largest, context)}"
    computing = shares.get("forward", 0.0) + shares.get("backward", 0.0)
    name, share = "unknown", 0.0
    if window.operators and whole:
        name, share = window.operators[0].name, window.operators[0].self_seconds / whole
    return (
        f"{computing:.0%} of a training step computes (forward and backward), the "
        f"most in {name} ({share:.0%}); {_faster_computing(context)}"
    )


def _faster_computing(context: Context) -> str:
    gains = context.device != "cpu" or context.faster_in_bfloat16
    if context.precision == "32-true" and gains:
        return (
            "where the hardware has 16-bit products, trainer.precision=bf16-mixed is worth a try."
        )
    return "fewer pixels (data.image_size) or a smaller network would be faster, not the settings."


def _advice(part: str, context: Context) -> str:
    if part == "data loading":
        workers = context.num_workers
        return f"waits for data: raise data.num_workers (now {workers}), or use smaller images."
    if part == "data to device":
        return "copies images to the device: a smaller data.image_size copies less."
    if part == "optimizer":
        return (
            "updates weights, which costs the same for any batch: raise data.batch_size "
            f"(now {context.batch_size})."
        )
    return (
        "is neither data nor network nor optimizer: callbacks and logging; raise "
        f"trainer.log_every_n_steps (now {context.log_every_n_steps})."
    )
