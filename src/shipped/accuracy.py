"""Accuracy of answers, paired with other answers on the same images. It needs numpy only.

The rules are those of Lightship's report, and its tests hold both to the same figures:
``src/benchmark/statistics`` (``paired``, ``rounding``, ``divergence``, ``shares``, ``scorecard``).
Shapes: n images, K classes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from math import comb, nextafter, sqrt
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

TOP = 5
ERROR_RATE = 0.05  # one-sided, of a wrong pass and of a wrong fail
POWER = 0.8  # probability that the stated number of images settles the verdict
MOST_IMAGES = 10_000_000  # beyond this, no data set will settle it
ROUNDING = 1e-5  # largest difference that rounding explains, as a share of the scale of the logits
RESOLUTION = 2.0**-20  # 8 steps of float32 at the largest logit
CALIBRATION_BINS = 15
# Images that must have the same logits, for a file to count as the same network on another
# processor. A fault of its kernels that shows on a tenth of the images is then seen with 95 %.
LEAST_SAME = 30
_BESIDE = 1e-15  # distance of the first root search point from the observed delta


class Drift(NamedTuple):
    """Distance of logits from others of the same images.

    - ``largest``, ``p99``: over the images, of each image's largest difference of a logit.
    - ``sqnr_db``: 10 log10 of the sum of squares of the others over that of the differences. None
      for identical logits and for zeros.
    - ``kl``: Kullback-Leibler divergence in nats, the mean over the images.
    - ``probability``: largest difference of a probability.
    - ``rounding_error``: largest difference of a logit as a share of the image's scale; None for
      different logits without a spread.
    - ``beyond_rounding``: number of images whose share is above ``ROUNDING``.
    """

    largest: float
    p99: float
    sqnr_db: float | None
    kl: float
    probability: float
    rounding_error: float | None
    beyond_rounding: int


class Changes(NamedTuple):
    """Images whose top-1 class is another one, and the change of the accuracy with its test."""

    flips: int
    lost: int  # right before and wrong now
    gained: int  # wrong before and right now
    delta: float  # of top-1, a share of 1
    low: float  # of the 95 % interval
    high: float
    mcnemar_p: float
    verdict: str  # pass, fail or inconclusive
    images_needed: int | None  # to settle it


def drift(logits: Array, others: Array) -> Drift:
    """Return the distance of logits (n, K) from others (n, K)."""
    reference = others.astype(np.float64)
    difference = np.abs(logits - reference).max(axis=1)  # (n,)
    signal, noise = (float(np.square(a).sum()) for a in (reference, logits - reference))
    before, after = log_softmax(reference), log_softmax(logits)
    kl = float((np.exp(before) * (before - after)).sum()) / len(logits)
    spread = np.ptp(reference, axis=1)
    scale = np.maximum(spread, np.median(spread))
    beyond = np.maximum(difference - RESOLUTION * np.abs(reference).max(axis=1), 0.0)
    shares = beyond[scale > 0] / scale[scale > 0]
    finite = signal > 0 and noise > 0
    return Drift(
        largest=float(difference.max()),
        p99=float(np.percentile(difference, 99)),
        sqnr_db=float(10 * (np.log10(signal) - np.log10(noise))) if finite else None,
        kl=max(0.0, kl),
        probability=float(np.abs(np.exp(after) - np.exp(before)).max()),
        rounding_error=(
            None if beyond[scale == 0].max(initial=0.0) else float(shares.max(initial=0.0))
        ),
        beyond_rounding=int((beyond > ROUNDING * scale).sum()),
    )


def changes(predicted: Array, before: Array, labels: Array, max_drop: float) -> Changes:
    """Return the changes of top-1 from ``before``, all of them (n,), tested against the budget."""
    was_right, right = before == labels, predicted == labels
    lost, gained = int((was_right & ~right).sum()), int((right & ~was_right).sum())
    images = len(labels)
    low, high = score_interval(lost, gained, images)
    verdict, needed = non_inferiority(lost, gained, images, max_drop)
    return Changes(
        flips=int((predicted != before).sum()),
        lost=lost,
        gained=gained,
        delta=(gained - lost) / images,
        low=low,
        high=high,
        mcnemar_p=mcnemar_p(lost, gained),
        verdict=verdict,
        images_needed=needed,
    )


def top5_share(logits: Array, labels: Array) -> float:
    """Return the share of images whose label is among the five largest logits."""
    top = np.argsort(-logits, axis=1, kind="stable")[:, :TOP]
    return float((top == labels[:, None]).any(axis=1).mean())


def calibration_error(logits: Array, labels: Array) -> float:
    """Return the expected calibration error of top-1 (Guo et al., ICML 2017), a share of 1."""
    confidence = np.exp(log_softmax(logits).max(axis=1))
    confidence = np.minimum(confidence, 1.0)
    right = logits.argmax(axis=1) == labels
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    bin_of = np.searchsorted(edges, confidence, side="left") - 1
    gaps = np.bincount(bin_of, weights=right - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def log_softmax(logits: Array) -> Array:
    """Return the logarithms of the probabilities of logits (n, K), in float64."""
    wide = logits.astype(np.float64)
    below = wide - wide.max(axis=1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=1, keepdims=True)))


def wilson(count: int, images: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a share (Wilson, 1927)."""
    z = NormalDist().inv_cdf(0.975)
    share, square = count / images, z * z / images
    middle = (share + square / 2) / (1 + square)
    reach = z * sqrt(share * (1 - share) / images + square / images / 4) / (1 + square)
    return middle - reach, middle + reach


def score_interval(
    lost: int, gained: int, images: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Return Tango's (1998) two-sided score interval of delta, as shares of 1."""
    return _interval(lost, gained, images, NormalDist().inv_cdf((1 + confidence) / 2))


def mcnemar_p(lost: int, gained: int) -> float:
    """Return the exact two-sided p value of McNemar's test; 1.0 if no image flips."""
    flips = lost + gained
    tail = sum(comb(flips, count) for count in range(min(lost, gained) + 1))
    outcomes: int = 2**flips
    return min(1.0, 2 * tail / outcomes)


def non_inferiority(lost: int, gained: int, images: int, max_drop: float) -> tuple[str, int | None]:
    """Test at 5 %, one-sided, that the accuracy is at most ``max_drop`` lower.

    Returns:
        The verdict, and the number of images that would settle an inconclusive one.
    """
    lower, upper = score_interval(lost, gained, images, confidence=1 - 2 * ERROR_RATE)
    verdict = _verdict(lower, upper, max_drop)
    settles = verdict == "inconclusive"
    return verdict, _images_needed(lost, gained, images, max_drop) if settles else None


def _verdict(lower: float, upper: float, max_drop: float) -> str:
    if lower >= -max_drop:
        return "pass"
    return "fail" if upper < -max_drop else "inconclusive"


def _images_needed(lost: int, gained: int, images: int, max_drop: float) -> int | None:
    """Return the smallest number of images that settles the verdict with probability ``POWER``."""
    z = NormalDist().inv_cdf(1 - ERROR_RATE)
    flips, delta = (lost + gained) / images, (gained - lost) / images
    away = -1 if delta > -max_drop else 1  # direction from delta to the budget
    reach = NormalDist().inv_cdf(POWER) * sqrt(max(0.0, flips - delta * delta))

    def settled(more: int) -> bool:
        unlucky = max(-1.0, min(1.0, delta + away * reach / sqrt(more)))
        rate = max(flips, abs(unlucky))
        losses, gains = (rate - unlucky) / 2 * more, (rate + unlucky) / 2 * more
        lower, upper = _interval(losses, gains, more, z)
        return _verdict(lower, upper, max_drop) == ("pass" if away < 0 else "fail")

    numbers = range(images + 1, MOST_IMAGES)
    index = bisect_left(numbers, True, key=settled)
    return numbers[index] if index < len(numbers) else None


def _interval(lost: float, gained: float, images: float, z: float) -> tuple[float, float]:
    return -_upper(gained, lost, images, z), _upper(lost, gained, images, z)


def _upper(lost: float, gained: float, images: float, z: float) -> float:
    """Return the delta above the observed one at which Tango's score statistic is -z."""
    observed = (gained - lost) / images

    def excess(delta: float) -> float:
        return images * (delta - observed) - z * sqrt(_variance(lost, gained, images, delta))

    # The variance may be 0 at the observed delta, which is a root too, but not the bound.
    start = max(nextafter(observed, 2.0), observed + _BESIDE) if observed < 1 else 1.0
    return _root(excess, start, 1.0)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return the root of a function that is at most 0 at ``low`` and at least 0 at ``high``."""
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return high


def _variance(lost: float, gained: float, images: float, delta: float) -> float:
    """Return the variance of gained - lost if the true change is ``delta``."""
    if delta < 0:
        return _variance(gained, lost, images, -delta)
    a = 2 * images
    b = (2 * images - gained + lost) * delta - lost - gained
    c = -lost * delta * (1 - delta)
    root = sqrt(b * b - 4 * a * c)
    rate = (root - b) / (2 * a) if b <= 0 else -2 * c / (root + b)
    return images * (2 * rate + delta * (1 - delta))
