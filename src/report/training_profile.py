"""The figures of a training's profile, as ``profile/rank0.json`` holds them."""

from __future__ import annotations

from typing import Any

import msgspec

STAGES = {"train": "training", "val": "validation"}


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """An operator within a window, per step.

    Args:
        name: of the profiler's, such as ``aten::convolution``.
        self_seconds: without the operators that it calls.
        calls: number of calls.
        allocated_bytes: memory that it keeps.
    """

    name: str
    self_seconds: float
    calls: float
    allocated_bytes: float


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Some consecutive steps of a stage that were profiled.

    Args:
        stage: ``train`` or ``val``.
        epoch: from 0.
        file: name of the trace; None if there is none.
        bytes: size of the trace.
        step_seconds: duration of each step.
        regions: seconds a step by part of the step.
        device: seconds of work on the device a step, by the part that asked for it.
        operators: from the costliest on.
        memory: by device, pairs of a time in seconds and the bytes that are allocated then.
    """

    stage: str
    epoch: int
    file: str | None = None
    bytes: int = 0
    step_seconds: list[float]
    regions: dict[str, float] = {}
    device: dict[str, float] = {}
    operators: list[Operator] = []
    memory: dict[str, list[tuple[float, float]]] = {}

    @property
    def mean_seconds(self) -> float:
        """Mean duration of a step; 0 where there is none."""
        return sum(self.step_seconds) / len(self.step_seconds) if self.step_seconds else 0.0

    @property
    def label(self) -> str:
        return f"{STAGES[self.stage]}, epoch {self.epoch}"


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the training that advice depends on.

    Args:
        batch_size: images a step.
        num_workers: processes that load data.
        device: type of the device, such as ``cpu``.
        precision: of the trainer, such as ``32-true``.
        log_every_n_steps: of the trainer.
        faster_in_bfloat16: whether the network is known to gain from it on a CPU; a profile of an
            earlier version does not say it.
    """

    batch_size: int
    num_workers: int
    device: str
    precision: str
    log_every_n_steps: int
    faster_in_bfloat16: bool = True


class TrainingProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The profile of a training.

    Args:
        context: settings of the training.
        windows: in the order of their recording.
        notes: faults of the recording, in sentences without a full stop.
    """

    context: Context
    windows: list[Window]
    notes: list[str]

    @classmethod
    def of(cls, content: dict[str, Any]) -> TrainingProfile:
        """Return the content of ``profile/rank0.json`` with its types."""
        return msgspec.convert(content, cls)

    @property
    def latest(self) -> list[Window]:
        """The last window of each stage: early ones hold work that is done only once."""
        by_stage = {window.stage: window for window in self.windows if window.step_seconds}
        return list(by_stage.values())
