"""The record of ``profile/rank<N>.json``: the profile of a training by one of its processes.

Fields are in the order of the file.
"""

from __future__ import annotations

import msgspec

STAGES = {"train": "training", "val": "validation"}


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of an operator in a window, per step.

    Args:
        name: as torch's profiler calls it, such as ``aten::convolution``.
        self_seconds: its own time, without the operators that it calls.
        calls: number of calls; one within a call of the same name, alone in it, is part of that.
        allocated_bytes: memory that is still allocated after it.
    """

    name: str
    self_seconds: float
    calls: float
    allocated_bytes: float


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Position of a window within the training.

    Args:
        stage: ``train`` or ``val``.
        epoch: from 0.
        global_step: step of the training, the x axis of the logged scalars.
        first_step: number of the first recorded step within the epoch.
    """

    stage: str
    epoch: int
    global_step: int
    first_step: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of a window, in seconds and bytes.

    Args:
        step_seconds: duration of each step.
        regions: seconds a step by part of the step, including ``other``: together the whole step.
        device: seconds of work on an accelerator a step, by the part that launched it; empty
            without an accelerator.
        operators: those with the most self time, the costliest first.
        memory: by device, pairs of a time in seconds and the bytes allocated by then since the
            start of the window.
        problems: parts that the trace lacks.
    """

    step_seconds: list[float]
    regions: dict[str, float]
    device: dict[str, float]
    operators: list[Operator]
    memory: dict[str, list[tuple[float, float]]]
    problems: list[str]


class Window(Place, frozen=True, kw_only=True):
    """Some consecutive steps of a stage that were profiled: place, trace and :class:`Figures`.

    Args:
        file: name of the trace; None if it was not kept.
        bytes: size of the trace.
    """

    file: str | None
    bytes: int
    step_seconds: list[float]
    regions: dict[str, float]
    device: dict[str, float]
    operators: list[Operator]
    memory: dict[str, list[tuple[float, float]]]
    problems: list[str]

    @property
    def mean_seconds(self) -> float:
        """Mean duration of a step in seconds; 0 if there are no steps."""
        return sum(self.step_seconds) / len(self.step_seconds) if self.step_seconds else 0.0

    @property
    def label(self) -> str:
        """The stage and the epoch in words."""
        return f"{STAGES[self.stage]}, epoch {self.epoch}"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The profiler's options that decide which steps were recorded."""

    spread: str
    active: int


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the training that advice depends on.

    Args:
        batch_size: images per step.
        num_workers: processes that load data.
        device: type of the device, such as ``cpu``.
        precision: of the trainer, such as ``32-true``.
        faster_in_bfloat16: the network is known to gain from it on a CPU; a profile of an earlier
            version does not say it.
        log_every_n_steps: of the trainer.
    """

    batch_size: int
    num_workers: int
    device: str
    precision: str
    faster_in_bfloat16: bool = True
    log_every_n_steps: int


class TrainingProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The profile of a training.

    Args:
        rank: of the process.
        options: of the profiler.
        context: settings of the training.
        notes: faults of the recording, in sentences without a full stop.
        windows: in the order of their recording.
    """

    schema_version: int = 1
    rank: int
    options: Choice
    context: Context
    notes: list[str]
    windows: list[Window]

    @property
    def latest(self) -> list[Window]:
        """The last window of each stage: early windows contain work that is done only once."""
        by_stage = {window.stage: window for window in self.windows if window.step_seconds}
        return list(by_stage.values())
