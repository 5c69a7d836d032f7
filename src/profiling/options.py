"""Options of the profiler of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from src.system.ranges import Range, require_ranges

_REMEDY = "for no profile at all, profiler=none"
_FromZero = Annotated[int, Range("0 or more", _REMEDY, least=0)]
_FromOne = Annotated[int, Range("1 or more", _REMEDY, least=1)]


@dataclass(frozen=True)
class ProfilingOptions:
    """Steps that are recorded, and the content of the traces.

    A window is ``warmup`` steps of which nothing is kept and ``active`` steps that are. Each
    window of the training is followed by one of the validation behind it.

    Args:
        windows: how many windows of the training there are, at most.
        spread: ``start`` puts one into each of the first epochs, ``throughout`` spreads them
            evenly over the training.
        wait: steps of an epoch that pass before its first window.
        warmup: steps in which the profiler is on already, for its start distorts the first.
        active: steps that are recorded.
        record_shapes: with the shapes of each operator's inputs.
        profile_memory: with each allocation, for the memory over time.
        with_stack: with the Python stack of each operator; traces get several times larger.
        max_trace_bytes: that all trace files of the run take together, compressed.
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
