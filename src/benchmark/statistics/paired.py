"""Tests of a change of accuracy with paired outcomes on the same images.

A row and the baseline classify the same n images, so only the images that flip distinguish them:
``lost`` images were right and are wrong now, ``gained`` images were wrong and are right now. The
change of accuracy is delta = (gained - lost) / n, a share of 1.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import nextafter, sqrt
from statistics import NormalDist
from typing import Literal

Verdict = Literal["pass", "fail", "inconclusive"]

ERROR_RATE = 0.05  # one-sided, of a wrong pass and of a wrong fail
POWER = 0.8  # probability that the stated number of images settles the verdict
MOST_IMAGES = 10_000_000  # beyond this, no data set will settle it
# Distance of the first root search point from the observed delta. It is far below any bound, and
# not a denormal number: a process that trains flushes those to 0.
_BESIDE = 1e-15


@dataclass(frozen=True)
class NonInferiority:
    """Result of a test that a row loses no more accuracy than allowed.

    Attributes:
        verdict: result of the test.
        lower: one-sided 95 % lower bound of delta, a share of 1.
        upper: one-sided 95 % upper bound of delta.
        images_needed: number of images that would settle an inconclusive verdict, either way,
            with a probability of 80 %, if images flip at the observed rates. None for a settled
            verdict, and if 10 million images would not settle it.
    """

    verdict: Verdict
    lower: float
    upper: float
    images_needed: int | None


def score_interval(
    lost: int, gained: int, images: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Return the two-sided asymptotic score interval of delta, as shares of 1.

    Tango, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17 (1998). Unlike Wald's interval, it has a
    width above 0 if no image flips, and stays within -1 and 1.

    Raises:
        ValueError: there are no images, or fewer than flipped.
    """
    if min(lost, gained) < 0 or lost + gained > images or images < 1:
        raise ValueError(f"{lost} lost and {gained} gained of {images} images")
    return _interval(lost, gained, images, NormalDist().inv_cdf((1 + confidence) / 2))


def mcnemar_p(lost: int, gained: int) -> float:
    """Return the exact two-sided p value of McNemar's test; 1.0 if no image flips.

    The null hypothesis is that an image is as likely to be lost as to be gained.

    McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12 (1947), with the exact binomial distribution.
    """
    from scipy.stats import binomtest

    if lost + gained == 0:
        return 1.0
    return float(binomtest(lost, lost + gained, 0.5).pvalue)


def non_inferiority(lost: int, gained: int, images: int, max_drop: float) -> NonInferiority:
    """Test that the row's accuracy is at most ``max_drop`` lower: one-sided, at 5 %.

    The score test of Liu et al., "Tests for equivalence or non-inferiority for paired binary
    data", Statistics in Medicine 21 (2002), in the form of bounds: the row passes if the lower
    bound is at -max_drop or above, and fails if the upper bound is below.

    Args:
        lost: images that were right and are wrong.
        gained: images that were wrong and are right.
        images: all scored images.
        max_drop: accuracy that may be lost, a share of 1: 0.01 is one percentage point.

    Raises:
        ValueError: there are no images, or fewer than flipped.
    """
    # The bounds of a two-sided 90 % interval are one-sided 95 % bounds.
    lower, upper = score_interval(lost, gained, images, confidence=1 - 2 * ERROR_RATE)
    verdict = _verdict(lower, upper, max_drop)
    needed = _images_needed(lost, gained, images, max_drop) if verdict == "inconclusive" else None
    return NonInferiority(verdict, lower, upper, needed)


def _verdict(lower: float, upper: float, max_drop: float) -> Verdict:
    if lower >= -max_drop:
        return "pass"
    return "fail" if upper < -max_drop else "inconclusive"


def _images_needed(lost: int, gained: int, images: int, max_drop: float) -> int | None:
    """Return the smallest number of images that settles the verdict with probability ``POWER``.

    New images flip at the observed rates on average only; half of the time the rates are less
    favourable. So the verdict must be settled even if delta is less favourable than observed, by
    the distance that a normal distribution exceeds with probability 1 - ``POWER``. This is the
    usual calculation of a sample size.
    """
    z = NormalDist().inv_cdf(1 - ERROR_RATE)
    flips, delta = (lost + gained) / images, (gained - lost) / images
    away = -1 if delta > -max_drop else 1  # direction from delta to the budget
    reach = NormalDist().inv_cdf(POWER) * sqrt(max(0.0, flips - delta * delta))

    def settled(more: int) -> bool:
        unlucky = max(-1.0, min(1.0, delta + away * reach / sqrt(more)))
        rate = max(flips, abs(unlucky))
        losses, gains = (rate - unlucky) / 2 * more, (rate + unlucky) / 2 * more
        lower, upper = _interval(losses, gains, more, z)
        verdict = _verdict(lower, upper, max_drop)
        return verdict == ("pass" if away < 0 else "fail")

    # At fixed rates the score grows with the square root of the images, so it stays settled.
    numbers = range(images + 1, MOST_IMAGES)
    index = bisect_left(numbers, True, key=settled)
    return numbers[index] if index < len(numbers) else None


def _interval(lost: float, gained: float, images: float, z: float) -> tuple[float, float]:
    # With lost and gained exchanged, an upper bound becomes a lower bound of the opposite sign.
    return -_upper(gained, lost, images, z), _upper(lost, gained, images, z)


def _upper(lost: float, gained: float, images: float, z: float) -> float:
    """Return the delta above the observed one at which Tango's score statistic is -z."""
    from scipy.optimize import brentq

    observed = (gained - lost) / images

    def excess(delta: float) -> float:
        return images * (delta - observed) - z * sqrt(_variance(lost, gained, images, delta))

    # If all images were lost or none flipped, the variance is 0 at the observed delta. This is a
    # root too, but not the bound. Just above it the excess is negative.
    start = max(nextafter(observed, 2.0), observed + _BESIDE) if observed < 1 else 1.0
    return float(brentq(excess, start, 1.0, xtol=1e-15, rtol=1e-14))


def _variance(lost: float, gained: float, images: float, delta: float) -> float:
    """Return the variance of gained - lost if the true change is ``delta``.

    The rate of losses is the maximum likelihood estimate under this ``delta``.
    """
    if delta < 0:
        return _variance(gained, lost, images, -delta)
    # Tango's quadratic a q^2 + b q + c = 0 of the rate of losses q. Its larger root, written so
    # that nothing cancels; for delta >= 0, c <= 0 and the discriminant can't be negative.
    a = 2 * images
    b = (2 * images - gained + lost) * delta - lost - gained
    c = -lost * delta * (1 - delta)
    root = sqrt(b * b - 4 * a * c)
    rate = (root - b) / (2 * a) if b <= 0 else -2 * c / (root + b)
    return images * (2 * rate + delta * (1 - delta))
