"""Content of a trace file by its kinds: steps, regions, work on a device and memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from src.profiling.spans import STEP, Integers, Kind, Spans, Thread, read_spans

OPTIMIZER = "Optimizer.step#"  # torch's own region; with Lightning it contains the whole step
_NANOSECOND = 1e-9
_ROUNDING = 1e-9  # seconds


@dataclass(frozen=True)
class Span:
    """Named interval on a thread, in seconds from the start of the trace."""

    name: str
    start: float
    end: float
    thread: Thread

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def contains(self, other: Span) -> bool:
        """Return True if ``other`` lies within this span, up to rounding."""
        return self.start - _ROUNDING <= other.start and other.end <= self.end + _ROUNDING


class Allocation(NamedTuple):
    """Allocation of memory, or its release if ``size`` is negative."""

    moment: float  # seconds from the start of the trace
    size: int  # bytes
    on_cpu: bool


@dataclass(frozen=True)
class Trace:
    """Content of a trace; steps and regions are ordered by their start.

    Of spans with the same start the longest comes first, because it contains the others.
    """

    steps: list[Span]
    regions: list[Span]  # named parts of the steps, including the optimizer's
    launches: dict[int, float]  # correlation number -> launch of device work, in seconds
    kernels: list[tuple[int, Span]]  # correlation number and span of work on a device
    memory: list[Allocation]
    spans: Spans  # all of them

    def without_last_step(self) -> Self:
        """Return a copy whose last step is not in ``steps``."""
        return dataclasses.replace(self, steps=self.steps[:-1])

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ``.json.gz`` file.

        Raises:
            ValueError: the file is damaged, is not a trace or is too large.
            OSError: the file could not be read.
        """
        return cls.from_spans(read_spans(path))

    @classmethod
    def from_spans(cls, spans: Spans) -> Self:
        """Sort the spans by their kinds."""
        annotations = [_span(spans, position) for position in _of_kind(spans, Kind.REGION)]
        kernels = _of_kind(spans, Kind.KERNEL)
        return cls(
            steps=_in_order(span for span in annotations if span.name.startswith(STEP)),
            regions=_in_order(span for span in annotations if not span.name.startswith(STEP)),
            launches={
                int(spans.correlation[position]): float(spans.start[position] * _NANOSECOND)
                for position in _of_kind(spans, Kind.RUNTIME)
                if spans.correlation[position]
            },
            kernels=sorted(
                (
                    (int(spans.correlation[position]), _span(spans, position))
                    for position in kernels
                ),
                key=lambda pair: pair[1].start,
            ),
            memory=[
                Allocation(moment * _NANOSECOND, size, on_cpu)
                for moment, size, on_cpu in zip(
                    spans.moment.tolist(), spans.size.tolist(), spans.on_cpu.tolist(), strict=True
                )
            ],
            spans=spans,
        )


def _of_kind(spans: Spans, kind: Kind) -> Integers:
    return np.flatnonzero(spans.kind == kind)


def _span(spans: Spans, position: int) -> Span:
    return Span(
        spans.names[spans.name[position]],
        float(spans.start[position] * _NANOSECOND),
        float(spans.end[position] * _NANOSECOND),
        spans.threads[spans.thread[position]],
    )


def _in_order(spans: Iterable[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span.start, -span.end))
