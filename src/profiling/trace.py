"""Reader of trace files.

The format is Chrome's, which TensorBoard's plugin, Perfetto and chrome://tracing open:
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from src.backends.chrome_trace import Event

STEP = "ProfilerStep#"
OPTIMIZER = "Optimizer.step#"  # torch's own region; with Lightning it contains the whole step
MICROSECOND = 1e-6
_REGIONS = "user_annotation"
_OPERATORS = "cpu_op"
_KERNELS = {"kernel", "gpu_memcpy", "gpu_memset"}
_LAUNCHES = {"cuda_runtime", "cuda_driver"}
_MEMORY = "[memory]"
_ROUNDING = 1e-9  # seconds: times in a trace are microseconds as floats
_CPU = 0  # kineto's number of this device type


@dataclass(frozen=True)
class Span:
    """Named interval on a thread, in seconds from the start of the trace."""

    name: str
    start: float
    end: float
    thread: Any = None

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
    thread: Any


@dataclass(frozen=True)
class Trace:
    """Content of a trace; the spans of each kind are ordered by their start.

    Of spans with the same start the longest comes first, because it contains the others.
    """

    steps: list[Span]
    regions: list[Span]  # named parts of the steps, including the optimizer's
    operators: list[Span]
    launches: dict[int, float]  # correlation number -> launch of device work, in seconds
    kernels: list[tuple[int, Span]]  # correlation number and span of work on a device
    memory: list[Allocation]

    def without_last_step(self) -> Self:
        """Return a copy whose last step is not in ``steps``."""
        return dataclasses.replace(self, steps=self.steps[:-1])

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a ``.json.gz`` file.

        Raises:
            ValueError: the file is damaged or not a trace.
        """
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                content = json.load(file)
            return cls.from_events(content["traceEvents"])
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"not a whole gzip file ({error})") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a trace ({error!r})") from error

    @classmethod
    def from_events(cls, events: Sequence[Event]) -> Self:
        """Parse the events of a Chrome trace.

        Raises:
            ValueError: there are no events.
        """
        if not events:
            raise ValueError("it holds no events")
        origin = min(event["ts"] for event in events if event.get("ph") in {"X", "i"})
        annotations = list(_spans(events, {_REGIONS}, origin))
        kernels = [
            (event["args"].get("correlation", 0), _span(event, origin))
            for event in events
            if event.get("cat") in _KERNELS and event.get("ph") == "X"
        ]
        return cls(
            steps=_in_order(span for span in annotations if span.name.startswith(STEP)),
            regions=_in_order(span for span in annotations if not span.name.startswith(STEP)),
            operators=_in_order(_spans(events, {_OPERATORS}, origin)),
            launches={
                event["args"]["correlation"]: (event["ts"] - origin) * MICROSECOND
                for event in events
                if event.get("cat") in _LAUNCHES and "correlation" in event.get("args", {})
            },
            kernels=sorted(kernels, key=lambda pair: pair[1].start),
            memory=sorted(
                (
                    Allocation(
                        (event["ts"] - origin) * MICROSECOND,
                        int(event["args"]["Bytes"]),
                        event["args"].get("Device Type") == _CPU,
                        _thread(event),
                    )
                    for event in events
                    if event.get("name") == _MEMORY
                ),
                key=lambda allocation: allocation.moment,
            ),
        )


def _spans(events: Sequence[Event], kinds: set[str], origin: float) -> Iterator[Span]:
    for event in events:
        if event.get("ph") == "X" and event.get("cat") in kinds:
            yield _span(event, origin)


def _span(event: Event, origin: float) -> Span:
    start = (event["ts"] - origin) * MICROSECOND
    return Span(
        str(event["name"]),
        start,
        start + event["dur"] * MICROSECOND,
        _thread(event),
    )


def _thread(event: Event) -> tuple[Any, Any]:
    return event.get("pid"), event.get("tid")


def _in_order(spans: Iterator[Span]) -> list[Span]:
    return sorted(spans, key=lambda span: (span.start, -span.end))
