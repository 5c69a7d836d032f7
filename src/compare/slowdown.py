"""Slowdowns of the rows that two measurements have in common, with 95 % intervals.

A row's slowdown relative to another row is computed inside each measurement, where both are paired
round by round. Only then are the two measurements compared, which are independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median

from src.compare.throughput import Throughput, is_interrupted
from src.run.latency import Cell, Interval

LEAST_PEERS = 3  # rows in common, so that one regressed row does not decide the median


@dataclass(frozen=True)
class Slowdown:
    """The logarithm of the ratio new / old of the times, with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def between(cls, old: Interval, new: Interval) -> Slowdown:
        """Return the slowdown from a speed to that of a later, independent measurement."""
        return _log(old).over(_log(new))

    @classmethod
    def of_rate(cls, rate: Interval) -> Slowdown:
        """Return the slowdown to a speed that is a multiple of the old one."""
        return cls(-math.log(rate.value), -math.log(rate.high), -math.log(rate.low))

    def over(self, other: Slowdown) -> Slowdown:
        """Return the slowdown relative to another, independent slowdown."""
        value = self.value - other.value
        return Slowdown(
            value,
            value - math.hypot(self.value - self.low, other.high - other.value),
            value + math.hypot(self.high - self.value, other.value - other.low),
        )

    def widened(self, down: float, up: float) -> Slowdown:
        """Return the slowdown with another, independent error of these distances."""
        return Slowdown(
            self.value,
            self.value - math.hypot(self.value - self.low, down),
            self.value + math.hypot(self.high - self.value, up),
        )

    def __str__(self) -> str:
        value, low, high = (100 * math.expm1(bound) for bound in (self.value, self.low, self.high))
        return f"{value:+.1f} % [{low:+.1f}, {high:+.1f}]"


class Slowdowns:
    """Slowdowns of the rows of one device at one batch size.

    Args:
        old: cells of a measurement, by format.
        new: cells of a later one, of the same formats.
    """

    def __init__(self, old: Mapping[str, Cell], new: Mapping[str, Cell]) -> None:
        means = any(is_interrupted(cell) for cells in (old, new) for cell in cells.values())
        self._old, self._new = (Throughput(cells, means=means) for cells in (old, new))
        self.by_clock: dict[str, Slowdown] = {}
        self._own: dict[str, Slowdown] = {}  # by the clock, without the error of what rows share
        for name in [name for name in old if name in new]:
            before, after = self._old.rate(name), self._new.rate(name)
            if before is not None and after is not None:
                self._own[name] = Slowdown.between(before, after)
                self.by_clock[name] = self._own[name].widened(*self._shared(name))

    def median(self) -> Slowdown | None:
        """Return the median slowdown of the rows by the clock; None without a row."""
        if not self._own:
            return None
        if not (self._old.removes_drift and self._new.removes_drift):
            # The error of each row is mostly that of the drift, which the median has too.
            return _median([*self._own.values()], share=1.0)
        shared = [self._shared(name) for name in self._own]
        down, up = (median(reach[side] for reach in shared) for side in (0, 1))
        return _median([*self._own.values()]).widened(down, up)

    def _shared(self, name: str) -> tuple[float, float]:
        """Return how far the slowdown of all rows alike may be below and above the measured one."""
        before, after = self._old.drift_reach(name), self._new.drift_reach(name)
        return math.hypot(before[1], after[0]), math.hypot(before[0], after[1])

    def over(self, name: str, other: str) -> Slowdown | None:
        """Return a row's slowdown relative to another one's; None with too few common rounds."""
        if name == other or not {name, other} <= self.by_clock.keys():
            return None
        before, after = self._old.over(name, other), self._new.over(name, other)
        if before is None or after is None:
            return None
        return Slowdown.between(before, after)

    def over_peers(self, name: str) -> Slowdown | None:
        """Return a row's slowdown relative to the median of its peers; None with too few rows."""
        others = [self._own[other] for other in self._own if other != name]
        if len(others) >= LEAST_PEERS:
            return self._own[name].over(_median(others))
        pairs = [self.over(name, other) for other in self.by_clock]
        known = [slowdown for slowdown in pairs if slowdown is not None]
        if len(known) < LEAST_PEERS - 1:
            return None
        # With only two other rows, the row itself stays among its peers, over which its slowdown is
        # 0. Otherwise one row that became faster would move the median.
        value = median([0.0, *(slowdown.value for slowdown in known)])
        down = fmean(slowdown.value - slowdown.low for slowdown in known)
        up = fmean(slowdown.high - slowdown.value for slowdown in known)
        return Slowdown(value, value - down, value + up)


def _log(rate: Interval) -> Slowdown:
    return Slowdown(math.log(rate.value), math.log(rate.low), math.log(rate.high))


def _median(slowdowns: list[Slowdown], share: float | None = None) -> Slowdown:
    """Return the median of slowdowns, with its 95 % interval.

    Args:
        slowdowns: of the rows.
        share: the error of the median as a share of theirs; None for independent errors.
    """
    value = median(slowdown.value for slowdown in slowdowns)
    if share is None:
        # The standard error of a median of n equal normal values is sqrt(pi / 2n) times theirs.
        share = math.sqrt(math.pi / 2 / len(slowdowns))
    down = median(slowdown.value - slowdown.low for slowdown in slowdowns) * share
    up = median(slowdown.high - slowdown.value for slowdown in slowdowns) * share
    return Slowdown(value, value - down, value + up)
