"""The record of ``serve_test.json``: one exported file under load."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta

from src.run.circumstances import Environment
from src.run.latency import Interval
from src.run.record import (
    BatchSize,
    Cores,
    Count,
    Device,
    InvalidValueError,
    LongSeconds,
    Natural,
    Numeral,
    Positive,
    Record,
    Seconds,
    Text,
    Word,
    null,
    require_inside,
)

VERSION: Final = 1
VERSIONS = (1,)
_MOST_REQUESTS = 10**6  # of a probe
_ROUNDING = 1 + 1e-9

# held: the p99 is within the limit. late: it is not. saturated: the requests come faster than they
# can be answered. lagged: the generator was late itself, so the probe says nothing.
ProbeVerdict = Literal["held", "late", "saturated", "lagged"]
Latencies = Annotated[list[Seconds], Meta(min_length=1, max_length=_MOST_REQUESTS)]


class Probe(Record, frozen=True, kw_only=True):
    """One rate, offered for some time to one configuration."""

    run: Count  # runs differ in their processes and in their schedule
    attempt: Count  # at this rate, if the generator lagged before
    rate: Positive  # requests per second, of the Poisson process
    # From the start of the traffic to the last answer. In earlier files the first probe of a run
    # counts the start of its processes, too.
    seconds: Seconds
    warm_up: Count  # requests at the start that p50_s and p99_s leave out
    p50_s: Seconds
    p99_s: Seconds
    lag_p99_s: Seconds  # lateness of the generator
    backlog: Count  # requests without an answer at the last arrival
    is_cut: bool  # it was given up, because a request waited for too long
    verdict: ProbeVerdict
    batches: dict[Numeral, Natural]  # number of batches by their size
    # From the scheduled time to the answer, in the order of the requests, the warm-up included. In
    # a probe that was given up, a request without an answer has its age.
    latencies_s: Latencies

    def __post_init__(self) -> None:
        if self.warm_up >= len(self.latencies_s):
            expected = f"less than {len(self.latencies_s)}, the number of requests,"
            raise InvalidValueError("warm_up", expected, self.warm_up)
        if self.p99_s < self.p50_s:
            raise InvalidValueError("p99_s", f"at least p50_s, {self.p50_s}", self.p99_s)
        for percent, name, seconds in ((50, "p50_s", self.p50_s), (99, "p99_s", self.p99_s)):
            if not _is_percentile(self.latencies_s[self.warm_up :], percent, seconds):
                raise InvalidValueError(name, "that percentile of latencies_s", seconds)
        if self.is_cut and self.verdict in {"held", "late"}:
            raise InvalidValueError("is_cut", f"false in a probe that is {self.verdict}", True)
        if not self.batches and not self.is_cut:  # cut before the first batch left
            raise InvalidValueError("batches", "one at least", self.batches)
        if any(int(size) < 1 for size in self.batches):
            raise InvalidValueError("batches", "sizes of 1 or more", self.batches)

    @property
    def mean_batch(self) -> float:
        """Mean number of requests of a batch, in a probe that was not cut."""
        total = sum(self.batches.values())
        return sum(int(size) * count for size, count in self.batches.items()) / total


class Bounds(Record, frozen=True, kw_only=True):
    """The result of the search in one run."""

    run: Count
    held: Positive  # highest rate that held
    failed: Positive  # lowest rate above it that did not

    def __post_init__(self) -> None:
        if self.failed < self.held:
            raise InvalidValueError("failed", f"at least {self.held}", self.failed)


def _is_percentile(seconds: Sequence[float], percent: int, value: float) -> bool:
    """Return True if a value lies between the two times that a percentile is interpolated from."""
    near = 1e-6 * value + 1e-9
    position = percent / 100 * (len(seconds) - 1)
    not_above = sum(each <= value + near for each in seconds)
    below = sum(each < value - near for each in seconds)
    return not_above > math.floor(position) and below <= math.ceil(position)


def _require_order(interval: Interval, place: str) -> None:
    """Refuse an interval without its value.

    Raises:
        InvalidValueError: the value is outside.
    """
    low, value, high = interval.low, interval.value, interval.high
    if low > value * _ROUNDING or value > high * _ROUNDING:
        raise InvalidValueError(place, "low <= value <= high", [low, value, high])


def _require_highest(highest: Interval, runs: Sequence[Bounds]) -> None:
    """Refuse a rate that is not of these runs.

    Raises:
        InvalidValueError: the rate, its interval or its number of runs is another one.
    """
    _require_order(highest, "highest")
    value = math.exp(statistics.fmean(math.log(bounds.held) for bounds in runs))
    if not math.isclose(highest.value, value, rel_tol=1e-6):
        raise InvalidValueError("highest.value", f"{value}, the mean of bounds,", highest.value)
    if highest.processes != len(runs):
        expected = f"{len(runs)}, the number of bounds,"
        raise InvalidValueError("highest.processes", expected, highest.processes)


class Configuration(Record, frozen=True, kw_only=True):
    """Threads, streams and batching of a file, and what they held."""

    threads: Cores  # intra-op threads of each stream
    streams: Cores  # processes that each answer one batch at a time
    window_s: Seconds  # that the oldest request waits for others; 0: no batching
    largest_batch: BatchSize
    call_s: Positive | None = null()  # median of a single call; null if none was made
    batch_call_s: Positive | None = null()  # of a call with the largest batch
    probes: list[Probe]
    bounds: list[Bounds]  # by run, as far as a run found both rates
    highest: Interval | None = null()  # rate that holds; null if no run found one
    reason: Text | None = null()  # why there is none, or why there are few runs

    def __post_init__(self) -> None:
        if (self.highest is None) == bool(self.bounds):
            raise InvalidValueError("highest", "a rate if a run found one", self.highest)
        if len({bounds.run for bounds in self.bounds}) < len(self.bounds):
            raise InvalidValueError("bounds", "each run once", [each.run for each in self.bounds])
        if self.highest is not None:
            _require_highest(self.highest, self.bounds)
        if not self.window_s and self.largest_batch != 1:
            raise InvalidValueError("largest_batch", "1 without a window", self.largest_batch)

    @property
    def batches(self) -> bool:
        """True if requests are put together."""
        return self.largest_batch > 1

    @property
    def at_highest(self) -> Probe | None:
        """The probe that held at the rate nearest to the highest one."""
        highest = self.highest
        held = [probe for probe in self.probes if probe.verdict == "held"]
        if highest is None or not held:
            return None
        return min(held, key=lambda probe: abs(probe.rate - highest.value))


class ServeTest(Record, frozen=True, kw_only=True):
    """The content of ``serve_test.json``."""

    schema_version: Literal[1]
    run: Text  # name at the time of writing
    command: Text
    measured_at: Text  # ISO 8601, UTC
    format: Word
    device: Device
    sha256: dict[Text, Text | None]  # of each file of the format
    key: Text  # hash of everything that decides the figures
    own_environment: Word | None = None  # its identity, for a format that has one
    environment: Environment
    worker_cores: Cores  # that the streams may use
    own_core: bool  # the generator had a core that the streams did not use
    samples: Natural  # least measured requests of a probe
    runs: Natural  # that were asked for
    max_seconds: LongSeconds | None = null()  # for all probes
    p99_limit_s: Positive
    # False if more can be measured: the command was stopped, its time was over, or a configuration
    # was given up because its process failed or the generator was late
    is_complete: bool
    enough_seconds: LongSeconds | None = None  # time limit for the rest, if the time was over
    configurations: Annotated[list[Configuration], Meta(min_length=1)]
    chosen: Count | None = null()  # index of the configuration to use; null if none holds a rate
    gain: Interval | None = null()  # of batching in the rate; null if it cannot be told
    notes: list[Text]

    def __post_init__(self) -> None:
        for path in self.sha256:
            require_inside(path, "a name in sha256")
        if self.is_complete and self.enough_seconds is not None:
            raise InvalidValueError("enough_seconds", "nothing if all is done", self.enough_seconds)
        if self.gain is not None:
            _require_order(self.gain, "gain")
        chosen = self.chosen
        if chosen is not None and (
            chosen >= len(self.configurations) or self.configurations[chosen].highest is None
        ):
            raise InvalidValueError("chosen", "the index of one that holds a rate", chosen)
        for place, probe in self._probes():
            if probe.verdict == "held" and probe.p99_s > self.p99_limit_s:
                expected = f"at most {self.p99_limit_s} in a probe that held"
                raise InvalidValueError(f"{place}.p99_s", expected, probe.p99_s)

    @property
    def choice(self) -> Configuration | None:
        """The configuration to use."""
        return None if self.chosen is None else self.configurations[self.chosen]

    def is_of(self, name: str, sha256: dict[str, str | None]) -> bool:
        """Return True if exactly these files of a format were put under load."""
        return (self.format, self.sha256) == (name, sha256) and None not in sha256.values()

    def _probes(self) -> Iterator[tuple[str, Probe]]:
        for number, configuration in enumerate(self.configurations):
            for index, probe in enumerate(configuration.probes):
                yield f"configurations[{number}].probes[{index}]", probe
