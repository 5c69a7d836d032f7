"""The view *Overview*: where the time of a training step goes, and the throughput beside it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

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
        regions: seconds a step by part of the step.
        device: seconds of work on an accelerator a step, by the part that launched it.
        memory: by device, pairs of a time and the bytes allocated by then.
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
    present = {part for profile in profiles.by_rank.values() for part in sections.parts_of(profile)}
    return Overview(
        run=name,
        parts=[part for part in sections.PARTS if part in present],
        ranks=[_rank(rank, profile, traces) for rank, profile in profiles.by_rank.items()],
        throughput=list(throughput),
        problems=[*traces.problems, *problems],
    )


def _rank(rank: int, profile: TrainingProfile, traces: RunTraces) -> ShownRank:
    windows = [
        _window(window, profile.labels[index], traces.id_of_window(rank, index))
        for index, window in enumerate(profile.windows)
    ]
    return ShownRank(rank=rank, advice=sections.advice(profile), windows=windows)


def _window(window: Window, label: str, trace: str | None) -> ShownWindow:
    return ShownWindow(
        label=label,
        stage=window.stage,
        epoch=window.epoch,
        global_step=window.global_step,
        step_seconds=window.step_seconds,
        regions=window.regions,
        device=window.device,
        memory=window.memory,
        trace=trace,
        problems=window.problems,
    )
