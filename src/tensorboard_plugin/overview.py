"""The view *Overview*: where the time of a training step goes, and the throughput beside it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import msgspec

from src.profiling import regions
from src.profiling.memory_curve import thinned
from src.report.sections import profile as sections
from src.run.training_profile import TrainingProfile, Window
from src.tensorboard_plugin.throughput import Curve
from src.tensorboard_plugin.traces import RunTraces
from src.tensorboard_plugin.training_profiles import TrainingProfiles


class ShownWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A window of profiled steps, in seconds and bytes.

    Args:
        label: stage and epoch in words, different in each window.
        stage: ``train`` or ``val``.
        epoch: from 0.
        global_step: step of the training.
        step_seconds: duration of each step.
        regions: seconds a step by part of the step; parts that are not known count as ``other``.
        device: seconds of work on an accelerator a step, by the part that launched it.
        memory: by device, pairs of a time and the bytes allocated by then; no curve is empty.
        trace: id of its trace; None if there is none.
        problems: parts that the trace lacks.
    """

    label: str
    stage: str
    epoch: int
    global_step: int
    step_seconds: list[float]
    regions: dict[str, float]
    device: dict[str, float]
    memory: dict[str, list[tuple[float, float]]]
    trace: str | None
    problems: list[str]


class ShownRank(msgspec.Struct, frozen=True, kw_only=True):
    """The profile of one process: sentences on what to try, and its windows."""

    rank: int
    advice: list[str]
    windows: list[ShownWindow]


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON of ``overview``.

    Args:
        run: its name.
        parts: of a step, in the order of the step.
        ranks: the readable profiles.
        throughput: curves over the whole training.
        problems: what could not be shown.
    """

    run: str
    parts: list[str]
    ranks: list[ShownRank]
    throughput: list[Curve]
    problems: list[str]


def overview(
    name: str,
    profiles: TrainingProfiles,
    traces: RunTraces,
    throughput: Sequence[Curve],
    problems: Sequence[str],
) -> Overview:
    """Return the overview of a run.

    Args:
        name: of the run.
        profiles: of its processes.
        traces: of its windows.
        throughput: the curves.
        problems: of reading the curves.
    """
    ranks = [_rank(rank, profile, traces) for rank, profile in profiles.by_rank.items()]
    windows = [window for rank in ranks for window in rank.windows]
    present = {part for window in windows for part in (*window.regions, *window.device)}
    return Overview(
        run=name,
        parts=[part for part in sections.PARTS if part in present],
        ranks=ranks,
        throughput=list(throughput),
        problems=[*traces.problems, *problems],
    )


def _rank(rank: int, profile: TrainingProfile, traces: RunTraces) -> ShownRank:
    windows = [
        _window(window, label, traces.id_of_window(rank, index))
        for index, (window, label) in enumerate(zip(profile.windows, profile.labels, strict=True))
    ]
    return ShownRank(rank=rank, advice=sections.advice(profile), windows=windows)


def _window(window: Window, label: str, trace: str | None) -> ShownWindow:
    return ShownWindow(
        label=label,
        stage=window.stage,
        epoch=window.epoch,
        global_step=window.global_step,
        step_seconds=window.step_seconds,
        regions=_by_known_part(window.regions),
        device=_by_known_part(window.device),
        memory={device: thinned(curve) for device, curve in window.memory.items() if curve},
        trace=trace,
        problems=window.problems,
    )


def _by_known_part(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of the parts of a step, with those of all other names as ``other``."""
    known: dict[str, float] = {}
    for name, value in seconds.items():
        part = name if name in sections.PARTS else regions.OTHER
        total = known.get(part, 0.0) + value
        known[part] = min(max(total, -sys.float_info.max), sys.float_info.max)  # JSON has no more
    return known
