"""The highest rate over independent runs, and the comparison of two configurations."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy.special import stdtrit

from src.run.latency import Interval
from src.run.serve_test import Bounds


def highest_rate(runs: Sequence[Bounds]) -> Interval | None:
    """Return the highest rate that holds, with its 95 % interval over independent runs.

    Each run has its own processes and its own schedule. The value is the geometric mean of the
    rates that held. The interval is Student's t interval of their logarithms; its upper end is made
    of the rates that did not hold, because the truth of a run lies between the two. With one run
    the interval is only the gap of its search. None without a run.
    """
    if not runs:
        return None
    held = [math.log(bounds.held) for bounds in runs]
    failed = [math.log(bounds.failed) for bounds in runs]
    return Interval(
        value=math.exp(statistics.fmean(held)),
        low=math.exp(statistics.fmean(held) - _reach(held)),
        high=math.exp(statistics.fmean(failed) + _reach(failed)),
        processes=len(runs),
    )


def gain_of(single: Sequence[Bounds], batched: Sequence[Bounds]) -> Interval | None:
    """Return how many times as high the rate is with batching; None without two common runs.

    Runs of one number have the same bursts, so their ratio is one observation. Each rate is known
    to within the gap of its search only, so the interval is wider by the mean gap.
    """
    by_run = {bounds.run: bounds for bounds in single}
    pairs = [(by_run[bounds.run], bounds) for bounds in batched if bounds.run in by_run]
    if len(pairs) < 2:  # noqa: PLR2004  # one run has no spread
        return None
    ratios = [math.log(with_batching.held / without.held) for without, with_batching in pairs]
    gap = statistics.fmean(
        math.log(bounds.failed / bounds.held) for pair in pairs for bounds in pair
    )
    value, reach = statistics.fmean(ratios), _reach(ratios) + gap
    return Interval(
        value=math.exp(value),
        low=math.exp(value - reach),
        high=math.exp(value + reach),
        processes=len(pairs),
    )


def _reach(values: Sequence[float]) -> float:
    """Return half the 95 % interval of the mean, by Student's t; 0 for one value."""
    count = len(values)
    if count == 1:
        return 0.0
    return -float(stdtrit(count - 1, 0.025)) * statistics.stdev(values) / math.sqrt(count)
