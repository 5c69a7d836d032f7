"""The verdict of a probe, from what happened to its requests."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from src.run.serve_test import ProbeVerdict
from src.serve_test.open_loop import Times, Traffic

# Requests behind a p99, from MLPerf Inference's rules: see src.benchmark.statistics.latency.
LEAST_SAMPLES = 662
WARM_UP = 0.1  # share of the measured requests that come before them and are not counted
# Share of the requests that may be without an answer at the last arrival. A queue that is stable
# has a handful there; one that is not has the excess of its rate, 1 - capacity / rate.
MOST_BACKLOG = 0.05
# Least length of a probe in limits of the p99. A rate above the capacity by the inverse, 2 %, is
# the highest that can pass for one that holds.
LEAST_LIMITS = 50
MOST_ARRIVALS = 500_000
LEAST_LAG = 5e-4  # seconds: timers are no finer where a core is shared
LAG_SHARE = 0.05  # of the limit
_DIGITS = 7  # of stored seconds


@dataclass(frozen=True)
class Judgement:
    """The figures of a probe and its verdict.

    Args:
        verdict: ``held`` if the p99 is within the limit; ``late`` if not; ``saturated`` if the
            requests come faster than they can be answered; ``lagged`` if the generator was late
            itself, so that the probe says nothing.
        p50: seconds.
        p99: seconds; of a saturated probe it depends on the length of the probe.
        lag_p99: seconds by which the generator was late.
    """

    verdict: ProbeVerdict
    p50: float
    p99: float
    lag_p99: float


def judge(traffic: Traffic, limit: float, streams: int, largest: int) -> Judgement:
    """Return the verdict of a probe.

    Args:
        traffic: what happened, the warm-up included.
        limit: seconds that the p99 may take.
        streams: of the servers.
        largest: requests of a batch at most; full batches in hand are no backlog.
    """
    first = warm_up_of(len(traffic.latencies))
    p50, p99 = np.percentile(stored(traffic.latencies)[first:], [50, 99])
    lag = float(np.percentile(traffic.lags, 99))
    in_hand = 2 * streams * largest
    is_behind = traffic.backlog > max(MOST_BACKLOG * len(traffic.latencies), in_hand)
    verdict: ProbeVerdict
    if lag > lag_limit(limit):
        verdict = "lagged"
    elif traffic.is_cut or is_behind:
        verdict = "saturated"
    else:
        verdict = "held" if p99 <= limit else "late"
    return Judgement(verdict, float(p50), float(p99), lag)


def stored(seconds: Times) -> Times:
    """Return times as they are stored, from which the figures can be computed again."""
    return np.round(seconds, _DIGITS)


def lag_limit(limit: float) -> float:
    """Return the seconds that the p99 of the generator's own lateness may take."""
    return max(LEAST_LAG, LAG_SHARE * limit)


def arrivals_for(samples: int, rate: float, limit: float) -> int:
    """Return the number of requests of a probe that measures at least ``samples`` of them.

    The probe is long compared with the limit. In a short one, a queue that grows without end would
    stay within the limit until the last request.
    """
    measured = max(samples, math.ceil(LEAST_LIMITS * limit * rate))
    return min(measured + round(WARM_UP * measured), MOST_ARRIVALS)


def warm_up_of(arrivals: int) -> int:
    """Return the number of requests of a probe that come before the measured ones."""
    return arrivals - round(arrivals / (1 + WARM_UP))
