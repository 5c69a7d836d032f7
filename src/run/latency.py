"""Records of the time of calls: raw turns, the figures of a cell and its speed-ups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, Self

from msgspec import Meta

from src.run.record import (
    BatchSize,
    Bounded,
    Cores,
    Count,
    InvalidValueError,
    Joules,
    LongSeconds,
    Natural,
    Positive,
    Record,
    RoundNumber,
    Seconds,
    Text,
    Word,
    null,
    require_same_length,
)

# Limits above which a disturbance counts as a cause of an unstable cell.
STEAL_SHARE = 0.02
OTHER_CORES = 0.15
FREQUENCY_SPREAD = 0.05
# Share of the cores that the measurement's threads and the other processes may use before the
# threads count as disturbed. Two cores may be threads of one physical core, which share its units.
BUSY_SHARE = 0.5

Cause = Literal["steal", "busy", "clock", "cold", "spread"]  # of an unstable cell
Samples = Annotated[list[Positive], Meta(min_length=1)]  # seconds of each call
Bytes = Annotated[int, Meta(ge=-(10**15), le=10**15)]


class Disturbance(Record, frozen=True, kw_only=True):
    """CPU time that others used on the usable cores during one or more turns."""

    seconds: Positive
    # Share of the time of the cores in use that the hypervisor gave to other machines.
    steal_share: Bounded
    # Average number of cores that other processes used. It may be below 0 in one turn: the system
    # counts in ticks, so a tick may be counted in the turn before or after.
    other_cores: Bounded
    frequency_hz: Positive | None  # mean over the cores at the end; null if unknown
    # (highest - lowest) / mean of several turns; null in one turn and without frequencies
    frequency_spread: Bounded | None = null()
    cores: Cores | None = null()  # that were observed; null in an earlier measurement
    threads: Cores | None = null()  # of the measurement; null in an earlier one

    @classmethod
    def over(cls, turns: Sequence[Disturbance]) -> Self:
        """Combine the disturbances of several turns."""
        total = sum(turn.seconds for turn in turns)
        frequencies = [turn.frequency_hz for turn in turns if turn.frequency_hz is not None]
        mean = sum(frequencies) / len(frequencies) if frequencies else None
        return cls(
            seconds=total,
            steal_share=sum(turn.steal_share * turn.seconds for turn in turns) / total,
            other_cores=max(0.0, sum(turn.other_cores * turn.seconds for turn in turns) / total),
            frequency_hz=mean,
            frequency_spread=(max(frequencies) - min(frequencies)) / mean if mean else None,
            cores=_known([turn.cores for turn in turns], min),
            threads=_known([turn.threads for turn in turns], max),
        )

    def is_busy(self) -> bool:
        """Return True if others used cores, and left no physical one to each thread for sure.

        A process in a container may be allowed on many more cores than its quota has threads for.
        Others that use some of them do not make it wait.
        """
        if self.other_cores <= OTHER_CORES:
            return False
        if self.cores is None or self.threads is None:
            return True
        return self.other_cores + self.threads > BUSY_SHARE * self.cores

    def interrupts(self) -> bool:
        """Return True if others used the cores so much that calls had to wait."""
        return self.steal_share > STEAL_SHARE or self.is_busy()

    def causes(self) -> list[Cause]:
        """Return the causes that are large enough to affect a figure, the likeliest first."""
        causes: list[Cause] = []
        if self.steal_share > STEAL_SHARE:
            causes.append("steal")
        if self.is_busy():
            causes.append("busy")
        if (self.frequency_spread or 0) > FREQUENCY_SPREAD:
            causes.append("clock")
        return causes


def _known(counts: Sequence[int | None], choose: Callable[[list[int]], int]) -> int | None:
    """Return the count that ``choose`` takes; None if one is unknown."""
    known = [count for count in counts if count is not None]
    return choose(known) if known and len(known) == len(counts) else None


class Turn(Record, frozen=True, kw_only=True):
    """The calls of one row in one round."""

    seconds: Samples
    elapsed_seconds: Positive
    cpu_seconds: LongSeconds  # of all threads of the worker
    device_seconds: Samples | None = null()  # by the device's own clock; null on a CPU
    energy_joules: Joules | None = null()  # of the whole package or GPU; null without a counter
    disturbance: Disturbance | None = null()  # null if the system does not report it
    process: Count  # number of the process among the row's processes, in order of their start


class Memory(Record, frozen=True, kw_only=True):
    """The peak memory of a file at one batch size, measured in a separate process."""

    peak_rss_bytes: Bytes | None = null()  # above the empty worker; null if not measured
    peak_device_bytes: Count | None = null()  # null on a CPU and if not measured
    memory_reason: Text | None = None  # why it could not be measured


class Interval(Record, frozen=True, kw_only=True):
    """A value with its 95 % interval."""

    value: Positive
    low: Positive
    high: Positive
    # Number of processes behind the interval. If it is 1, the interval is an assumption: see
    # :func:`src.benchmark.statistics.latency.speedup`. None in version 1, which has no such value.
    processes: Natural | None = None

    @property
    def half_width(self) -> float:
        """Half the width of the interval, as a share of the value."""
        return (self.high - self.low) / 2 / self.value


class RuntimeSpeedup(Interval, frozen=True, kw_only=True):
    """A speed-up over the fp32 file of the same runtime."""

    format: Word


class Cell(Record, frozen=True, kw_only=True):
    """The figures of one row at one batch size, with the raw samples.

    A percentile is null if there are too few samples. Times with ``device`` in their name are
    measured by the device's own clock, and null on a CPU.
    """

    batch_size: BatchSize
    samples: Natural
    rounds: Count | None = None
    processes: Natural | None = None  # that timed the rounds; None in version 1
    mean_s: Positive
    p50_s: Positive
    p90_s: Positive | None
    p99_s: Positive | None
    iqr_s: Seconds
    images_per_second: Positive
    busy_cores: Seconds  # mean number of cores that the worker used
    device_p50_s: Positive | None
    device_p90_s: Positive | None = null()
    device_p99_s: Positive | None = null()
    joules_per_image: Joules | None  # null without an energy counter
    stable: bool | None = None
    unstable: list[Cause]  # the likeliest cause first
    disturbance: Disturbance | None  # null if the system does not report it
    speedup: Interval | None  # over the baseline; null for the baseline itself and without one
    speedup_same_runtime: RuntimeSpeedup | None  # null for fp32 rows and without an fp32 file
    seconds: Annotated[dict[RoundNumber, Samples], Meta(min_length=1)]
    process_of_round: dict[RoundNumber, Count] | None = None  # None in version 1: one process
    # None if it was not measured. In the file its values are on the level of the above.
    peak_memory: Memory | None = None

    def require_processes(self, place: str) -> None:
        """Refuse a cell that does not state the process of each round.

        All versions after the first have it.
        """
        process_of_round = self.process_of_round
        if process_of_round is None or self.processes is None:
            name = "processes" if self.processes is None else "process_of_round"
            raise InvalidValueError(f"{place}.{name}", "something", None)
        if process_of_round.keys() != self.seconds.keys():
            raise InvalidValueError(
                f"{place}.process_of_round", "the rounds of seconds", sorted(process_of_round)[:3]
            )
        count = len(set(process_of_round.values()))
        if self.processes != count:
            expected = f"{count}, the number of processes of the rounds,"
            raise InvalidValueError(f"{place}.processes", expected, self.processes)
        for name in ("speedup", "speedup_same_runtime"):
            interval: Interval | None = getattr(self, name)
            if interval is None:
                continue
            if interval.processes is None or interval.processes > count:
                expected = f"a whole number from 1 to {count}"
                raise InvalidValueError(f"{place}.{name}.processes", expected, interval.processes)


class Curve(Record, frozen=True, kw_only=True):
    """A training curve over epochs; the first epoch ends at 1.0."""

    epochs: Annotated[
        list[Annotated[float, Meta(ge=-1e9, le=1e9)]],
        Meta(min_length=1),
    ]
    values: list[Annotated[float, Meta(ge=-1e15, le=1e15)]]

    def __post_init__(self) -> None:
        require_same_length([self.epochs, self.values], "")
