"""Options of the training profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from src.system.ranges import Range, require_ranges

_REMEDY = "for no profile at all, profiler=none"
_FromZero = Annotated[int, Range("0 or more", _REMEDY, least=0)]
_FromOne = Annotated[int, Range("1 or more", _REMEDY, least=1)]


@dataclass(frozen=True)
class ProfilingOptions:
    """Options that say which steps are recorded, and in how much detail.

    A window is ``warmup`` steps whose events are dropped, then ``active`` steps whose events are
    kept. Each epoch with a training window also has one of the validation.

    Args:
        windows: maximal number of training windows.
        spread: ``start`` puts one window into each of the first epochs, ``throughout`` spreads
            them evenly over the training.
        wait: steps of an epoch before its first window.
        warmup: steps with the profiler on before the recorded ones, because starting it distorts
            the first step.
        active: recorded steps of a window.
        record_shapes: record the shapes of each operator's inputs.
        profile_memory: record each allocation, for the curve of memory over time.
        with_stack: record the Python stack of each operator; traces get several times larger.
        max_trace_bytes: limit for all trace files of the run together, compressed, in bytes.
    """

    windows: _FromOne = 2
    spread: Literal["start", "throughout"] = "start"
    wait: _FromZero = 5
    warmup: _FromZero = 1
    active: _FromOne = 3
    record_shapes: bool = False
    profile_memory: bool = True
    with_stack: bool = False
    max_trace_bytes: _FromOne = 50_000_000

    def __post_init__(self) -> None:
        require_ranges(self, "profiler")
