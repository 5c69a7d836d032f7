"""The record of ``profile/rank<N>.json``: the profile of a training by one of its processes.

Fields are in the order of the file.
"""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import Literal

import msgspec

from src.run.record import (
    Count,
    Index,
    InvalidValueError,
    Number,
    Record,
    Seconds,
    ShortText,
    Text,
    require_inside,
)

VERSIONS = (1,)  # that can be read

STAGES = {"train": "training", "val": "validation"}


# A record leaves out a field that has its plain default, but not one that a function gave.
def _yes() -> bool:
    return True


def _version() -> Literal[1]:
    return 1


class Operator(Record, frozen=True, kw_only=True):
    """Figures of an operator in a window, per step.

    Args:
        name: as torch's profiler calls it, such as ``aten::convolution``.
        self_seconds: its own time, without the operators that it calls.
        calls: number of calls; one within a call of the same name, alone in it, is part of that.
        allocated_bytes: memory that is still allocated after it.
    """

    name: Text
    self_seconds: Number
    calls: Number
    allocated_bytes: Number


class Place(Record, frozen=True, kw_only=True):
    """Position of a window within the training.

    Args:
        stage: ``train`` or ``val``.
        epoch: from 0.
        global_step: step of the training, the x axis of the logged scalars.
        first_step: number of the first recorded step within the epoch.
    """

    stage: str
    epoch: Index
    global_step: Index
    first_step: Index

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise InvalidValueError("stage", "train or val", self.stage)


class Figures(Record, frozen=True, kw_only=True):
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

    step_seconds: list[Seconds]
    regions: dict[Text, Number]
    device: dict[Text, Number]
    operators: list[Operator]
    memory: dict[Text, list[tuple[Number, Number]]]
    problems: list[Text]


class Window(Place, frozen=True, kw_only=True):
    """Some consecutive steps of a stage that were profiled: place, trace and :class:`Figures`.

    Args:
        file: name of the trace; None if it was not kept.
        bytes: size of the trace.
    """

    file: Text | None
    bytes: Count
    step_seconds: list[Seconds]
    regions: dict[Text, Number]
    device: dict[Text, Number]
    operators: list[Operator]
    memory: dict[Text, list[tuple[Number, Number]]]
    problems: list[Text]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.file is not None:
            require_inside(self.file, "file")
            if PurePosixPath(self.file).name != self.file:
                raise InvalidValueError("file", "the name of a file", self.file)

    @property
    def mean_seconds(self) -> float:
        """Mean duration of a step in seconds; 0 if there are no steps."""
        return sum(self.step_seconds) / len(self.step_seconds) if self.step_seconds else 0.0

    @property
    def label(self) -> str:
        """The stage and the epoch in words."""
        return f"{STAGES[self.stage]}, epoch {self.epoch}"


class Choice(Record, frozen=True, kw_only=True):
    """The profiler's options that decide which steps were recorded."""

    spread: ShortText
    active: Index


class Context(Record, frozen=True, kw_only=True):
    """The settings of the training that advice depends on.

    Args:
        batch_size: images per step.
        num_workers: processes that load data.
        device: type of the device, such as ``cpu``.
        precision: of the trainer, such as ``32-true``.
        faster_in_bfloat16: the CPU multiplies bf16, and the network is not known to lose by it
            there; a profile of an earlier version does not say it.
        log_every_n_steps: of the trainer.
    """

    batch_size: Index
    num_workers: Index
    device: ShortText
    precision: ShortText
    faster_in_bfloat16: bool = msgspec.field(default_factory=_yes)
    log_every_n_steps: Index


class TrainingProfile(Record, frozen=True, kw_only=True):
    """The profile of a training.

    Args:
        rank: of the process.
        options: of the profiler.
        context: settings of the training.
        notes: faults of the recording, in sentences without a full stop.
        windows: in the order of their recording.
    """

    schema_version: Literal[1] = msgspec.field(default_factory=_version)
    rank: Index
    options: Choice
    context: Context
    notes: list[Text]
    windows: list[Window]

    @property
    def labels(self) -> list[str]:
        """The stage and the epoch of each window; the step as well where they are not enough."""
        labels = Counter(window.label for window in self.windows)
        return [
            window.label
            if labels[window.label] == 1
            else f"{window.label}, step {window.first_step}"
            for window in self.windows
        ]

    @property
    def latest(self) -> list[Window]:
        """The last window of each stage: early windows contain work that is done only once."""
        by_stage = {window.stage: window for window in self.windows if window.step_seconds}
        return list(by_stage.values())
