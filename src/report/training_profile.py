"""Records of a training's profile, as they are stored in ``profile/rank0.json``."""

from __future__ import annotations

from typing import Any

import msgspec

STAGES = {"train": "training", "val": "validation"}


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of an operator in a window, per step.

    Args:
        name: as torch's profiler calls it, such as ``aten::convolution``.
        self_seconds: its own time, without the operators that it calls.
        calls: number of calls.
        allocated_bytes: memory that is still allocated after it.
    """

    name: str
    self_seconds: float
    calls: float
    allocated_bytes: float


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive steps of a stage that were profiled.

    Args:
        stage: ``train`` or ``val``.
        epoch: from 0.
        file: file name of the trace; None if there is none.
        bytes: size of the trace.
        step_seconds: duration of each step.
        regions: seconds per step, by the part of the step.
        device: seconds of work on the device per step, by the part of the step that started it.
        operators: the costliest first.
        memory: by device, pairs of a time in seconds and the bytes that are allocated at it.
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
        """Mean duration of a step in seconds; 0 if there are no steps."""
        return sum(self.step_seconds) / len(self.step_seconds) if self.step_seconds else 0.0

    @property
    def label(self) -> str:
        return f"{STAGES[self.stage]}, epoch {self.epoch}"


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the training that advice depends on.

    Args:
        batch_size: images per step.
        num_workers: processes that load data.
        device: type of the device, such as ``cpu``.
        precision: setting of the trainer, such as ``32-true``.
        log_every_n_steps: setting of the trainer.
        faster_in_bfloat16: False if the network is known not to gain from bfloat16 on a CPU;
            profiles of earlier versions do not store it.
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
        notes: problems of the recording, as sentences without a full stop.
    """

    context: Context
    windows: list[Window]
    notes: list[str]

    @classmethod
    def of(cls, content: dict[str, Any]) -> TrainingProfile:
        """Return the record of the content of a ``profile/rank0.json``."""
        return msgspec.convert(content, cls)

    @property
    def latest(self) -> list[Window]:
        """The last window of each stage: early windows contain work that is done only once."""
        by_stage = {window.stage: window for window in self.windows if window.step_seconds}
        return list(by_stage.values())
