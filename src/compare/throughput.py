"""Speed of the files of one measurement, by the clock and relative to each other.

A machine has slow phases of seconds and of hours. Rows are timed in turns, so a slow phase of
seconds affects all turns of some rounds. Two rows are compared round by round, so this common drift
cancels. For the speed by the clock it is estimated by the median over the other rows, and removed
but for its level. The level is that of few rounds, which has an error of its own. A slow phase of
the whole measurement remains; a comparison of two measurements must allow for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median, stdev

import msgspec
import numpy as np
from scipy.special import bdtr, stdtrit

from src.benchmark.statistics.latency import rounds_of, speedup
from src.run.latency import Cell, Disturbance, Interval, Turn

Cells = Mapping[str, Cell]  # by format, at one batch size

# Other rows whose median is the common drift. The median of fewer has too much of the noise of
# one row in it.
LEAST_OTHERS = 3
_OUTSIDE = 0.025  # probability on each side of a 95 % interval

# With this disturbance, the speed-up is computed from means; with the next one, from medians.
_INTERRUPTED = Disturbance(seconds=1.0, steal_share=0.0, other_cores=1.0, frequency_hz=None)
_UNDISTURBED = msgspec.structs.replace(_INTERRUPTED, other_cores=0.0)


def is_interrupted(cell: Cell) -> bool:
    """Return True if others used the cores so much that calls of the cell had to wait."""
    return cell.disturbance is not None and cell.disturbance.interrupts()


class Throughput:
    """Speeds of the rows of one measurement at one batch size, with 95 % intervals.

    Args:
        cells: cells of one measurement, device and batch size, by format.
        means: summarise the calls of a turn by their mean instead of their median, as
            :func:`src.benchmark.statistics.latency.speedup` does if a row was interrupted. It must
            be the same for both measurements of a comparison.
    """

    def __init__(self, cells: Cells, *, means: bool) -> None:
        disturbance = _INTERRUPTED if means else _UNDISTURBED
        middle = np.mean if means else np.median
        self._rounds = {
            name: {
                number: msgspec.structs.replace(turn, disturbance=disturbance)
                for number, turn in rounds_of(cell).items()
            }
            for name, cell in cells.items()
        }
        logs = {
            name: {number: math.log(middle(turn.seconds)) for number, turn in rounds.items()}
            for name, rounds in self._rounds.items()
        }
        usual = {name: median(values.values()) for name, values in logs.items()}
        self._excess = {  # over the row's usual time, as a logarithm
            name: {number: value - usual[name] for number, value in values.items()}
            for name, values in logs.items()
        }

    def rate(self, name: str) -> Interval | None:
        """Return a row's calls per second without the common drift.

        The drift stays in with fewer than ``LEAST_OTHERS`` other rows: the interval is then wider.

        Returns:
            The interval; None with fewer than two rounds. For rounds of one process it is an
            assumption.
        """
        rounds = self._rounds[name]
        # The common drift belongs to no process. Each of its rounds gets a separate process number,
        # so that only the processes of the row group the rounds.
        common = {
            number: Turn(
                seconds=[math.exp(self._drift(name, number))],
                elapsed_seconds=1.0,
                cpu_seconds=0.0,
                process=number,
            )
            for number in rounds
        }
        return speedup(common, rounds)

    def over(self, name: str, other: str) -> Interval | None:
        """Return how many times as fast as another row a row is, paired round by round."""
        return speedup(self._rounds[other], self._rounds[name])

    @property
    def removes_drift(self) -> bool:
        """True if there are enough rows to estimate the drift that they have in common."""
        return len(self._excess) > LEAST_OTHERS

    def drift_reach(self, name: str) -> tuple[float, float]:
        """Return the 95 % interval of the level of the common drift: how far below and above it is.

        All rows share this error, so it is not in :meth:`rate`. It is 0 where the drift stays in.
        """
        drifts = [self._drift(name, number) for number in self._rounds[name]]
        return _median_reach(drifts) if self.removes_drift else (0.0, 0.0)

    def _drift(self, name: str, number: int) -> float:
        """Return the drift of a round that the other rows have in common, as a logarithm.

        The row itself is left out: its own noise would cancel, and its interval would lack it.
        """
        if not self.removes_drift:
            return 0.0
        others = [
            excess[number]
            for other, excess in self._excess.items()
            if other != name and number in excess
        ]
        return median(others) if others else 0.0


def _median_reach(values: list[float]) -> tuple[float, float]:
    """Return how far the 95 % interval of the median of two or more values reaches, down and up.

    It lies between two order statistics, whatever the distribution is: slow phases of a few rounds
    do not widen it. Fewer than six values have none, and are taken as normal.
    """
    if len(values) < 2:  # noqa: PLR2004
        return 0.0, 0.0  # such a row has no interval at all
    ordered, count, middle = sorted(values), len(values), median(values)
    outside = 0
    while bdtr(outside, count, 0.5) <= _OUTSIDE:
        outside += 1
    if outside:
        return middle - ordered[outside - 1], ordered[count - outside] - middle
    error = math.sqrt(math.pi / 2 / count) * stdev(values)
    reach = -float(stdtrit(count - 1, _OUTSIDE)) * error
    return reach, reach
