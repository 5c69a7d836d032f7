"""Options of the load test."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from src.errors import UsageError
from src.run.record import NativeDevice
from src.system import machine
from src.system.ranges import (
    LatencyLimit,
    OptionalPositiveInt,
    PositiveFloat,
    Range,
    require_ranges,
)

_Window = Annotated[
    float, Range("seconds from 0 to 10", "for example windows=[0,0.004]", least=0, most=10)
]
# These processes are within the descriptors that a process may open and wait for.
MOST_STREAMS = 256
_Few = Annotated[
    int,
    Range(
        f"whole numbers from 1 to {MOST_STREAMS}",
        "for example {argument}=[1,2]",
        least=1,
        most=MOST_STREAMS,
    ),
]
_Samples = Annotated[
    int,
    Range(
        "a whole number from 662, the least behind a p99, to 100000",
        "leave out {argument} for its default",
        least=662,
        most=100_000,
    ),
]
_Runs = Annotated[
    int, Range("a whole number from 1 to 100", "leave out {argument} for 3", least=1, most=100)
]
_Batch = Annotated[
    int,
    Range("a whole number from 1 to 1024", "leave out {argument} for 16", least=1, most=1024),
]


@dataclass(frozen=True)
class ServeTestOptions:
    """The file to put under load, the configurations to try, and the limit of the latency.

    Args:
        format: exported format to use; by default the one that the run's report recommends.
        device: ``cpu`` or ``cuda``.
        threads: numbers of intra-op threads of a stream to try. By default one stream with all
            cores but the load generator's, and as many streams with one thread each, at most 256.
            With ``streams`` each number is tried with each.
        streams: numbers of processes that answer at the same time to try; by default 1 if
            ``threads`` is given.
        windows: times to try, in seconds, that the oldest request waits for others to be put into a
            batch with it; 0 is no batching. A window that is not below the limit is left out.
        largest_batch: requests of a batch at most.
        p99_limit: limit of the 99th percentile of the latency, in seconds; by default ten times the
            median of a single call.
        samples: least measured requests of a probe, the warm-up not included. More make a p99 more
            precise and a probe longer. A probe also takes 50 times the limit at least.
        runs: independent runs of each configuration, each with processes and a schedule of its own.
            The interval of a rate is over runs.
        max_seconds: time limit, in seconds, for all probes together, those of an earlier command
            for the same files included. The start of processes is not counted. What is missing then
            is not measured, and the output says so.
        timeout_seconds: time limit, in seconds, of one answer of a process that runs the file.
        max_memory_bytes: limit of each process that runs the file; by default nine tenths of the
            memory of the machine or container.
        again: measure again what ``serve_test.json`` has. It is kept until the new measurement is
            done.
    """

    format: str | None = None
    device: NativeDevice = "cpu"
    threads: list[_Few] | None = None
    streams: list[_Few] | None = None
    windows: list[_Window] = field(default_factory=lambda: [0.0, 0.002, 0.005])
    largest_batch: _Batch = 16
    p99_limit: LatencyLimit = None
    samples: _Samples = 800
    runs: _Runs = 3
    max_seconds: PositiveFloat = 300.0
    timeout_seconds: PositiveFloat = 60.0
    max_memory_bytes: OptionalPositiveInt = None
    again: bool = False

    def __post_init__(self) -> None:
        require_ranges(self)
        for name in ("threads", "streams", "windows"):
            values = getattr(self, name)
            if values is not None and (not values or len(set(values)) < len(values)):
                raise UsageError(
                    name,
                    expected="a list of values, each once",
                    found=str(values),
                    remedy=f"leave out {name} for its default",
                )
        if self.largest_batch == 1 and any(self.windows):
            raise UsageError(
                "largest_batch",
                expected="at least 2 with a window above 0",
                found="1",
                remedy="set windows=[0] to measure without batching",
            )

    @property
    def memory_limit(self) -> int:
        """Limit of the resident bytes of each process that runs the file."""
        return self.max_memory_bytes or machine.memory_bytes() * 9 // 10
