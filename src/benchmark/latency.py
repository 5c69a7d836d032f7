"""From raw samples to percentiles and speed-ups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Samples behind a percentile before it says anything, from MLPerf Inference's rules:
# https://github.com/mlcommons/inference_policies/blob/master/inference_rules.adoc
LEAST_SAMPLES = {50: 1, 90: 64, 99: 662}
STABLE_IQR = 0.10  # of the median, as in torch.utils.benchmark
_RESAMPLES = 10_000


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


def summarize(batch_size: int, rounds: Sequence[Sequence[float]]) -> dict[str, Any]:
    """One cell of the table, in seconds, from its raw samples round by round.

    A percentile without enough samples behind it is None.
    """
    samples = np.concatenate([np.asarray(each, dtype=np.float64) for each in rounds])
    low, median, high = np.percentile(samples, [25, 50, 75])
    return {
        "batch_size": batch_size,
        "samples": len(samples),
        "rounds": len(rounds),
        "mean_s": float(samples.mean()),
        **{f"p{percent}_s": _percentile(samples, percent) for percent in LEAST_SAMPLES},
        "iqr_s": float(high - low),
        "stable": bool((high - low) <= STABLE_IQR * median),
        "speedup": None,
        "seconds": [[round(value, 9) for value in each] for each in rounds],
    }


def speedup(
    baseline: Sequence[Sequence[float]], rounds: Sequence[Sequence[float]], seed: int = 0
) -> Interval:
    """How many times faster ``rounds`` are than ``baseline``, paired round by round.

    The ratio of the two medians in each round, so that the machine's drift, which both saw,
    cancels; the geometric mean of these ratios; and its 95 % interval by bootstrap over rounds
    (Efron & Tibshirani, 1993, percentile method).

    Args:
        baseline: raw samples, a sequence a round, in seconds.
        rounds: the same for what is compared, as many rounds.
        seed: of the resampling, so that the same samples give the same interval.
    """
    ratios = np.log([np.median(a) / np.median(b) for a, b in zip(baseline, rounds, strict=True)])
    generator = np.random.default_rng(seed)
    means = generator.choice(ratios, size=(_RESAMPLES, len(ratios))).mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(np.exp(ratios.mean())), float(np.exp(low)), float(np.exp(high)))


def _percentile(samples: NDArray[np.float64], percent: int) -> float | None:
    if len(samples) < LEAST_SAMPLES[percent]:
        return None
    return float(np.percentile(samples, percent))
