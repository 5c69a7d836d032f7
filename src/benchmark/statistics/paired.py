"""Tests of a change of accuracy, by paired outcomes on the same images.

A row and the baseline answer the same n images, so only the images that flip tell them apart:
``lost`` were right and are wrong, ``gained`` were wrong and are right. The change of accuracy is
delta = (gained - lost) / n, a share of 1.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import nextafter, sqrt
from statistics import NormalDist
from typing import Literal

Verdict = Literal["pass", "fail", "inconclusive"]

ERROR_RATE = 0.05  # one-sided, of a pass that isn't one and of a fail that isn't one
POWER = 0.8  # of the images that are said to be needed
MOST_IMAGES = 10_000_000  # beyond this, no data set will settle it
# Beside an observed delta: far below any bound, and no denormal number, which a process that
# trains flushes to 0.
_BESIDE = 1e-15


@dataclass(frozen=True)
class Judgement:
    """The judgement on a row's drop of accuracy beside the one that is allowed.

    Attributes:
        lower: one-sided 95 % lower bound of delta, a share of 1.
        upper: one-sided 95 % upper bound of delta.
        images_needed: how many images would settle an inconclusive verdict, either way, with a
            probability of 80 %, if they kept flipping at the observed rates. None for a settled
            verdict, and where fewer than 10 million images settle nothing.
    """

    verdict: Verdict
    lower: float
    upper: float
    images_needed: int | None


def score_interval(
    lost: int, gained: int, images: int, confidence: float = 0.95
) -> tuple[float, float]:
    """The asymptotic score interval of delta, two-sided, as shares of 1.

    Tango, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17 (1998). Unlike Wald's, it has a width where
    no image flips, and stays within -1 and 1.

    Raises:
        ValueError: if there are no images, or fewer than flipped.
    """
    if min(lost, gained) < 0 or lost + gained > images or images < 1:
        raise ValueError(f"{lost} lost and {gained} gained of {images} images")
    return _interval(lost, gained, images, NormalDist().inv_cdf((1 + confidence) / 2))


def mcnemar_p(lost: int, gained: int) -> float:
    """The exact two-sided p of lost and gained being as likely; 1.0 where no image flips.

    McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12 (1947), with the binomial distribution itself.
    """
    from scipy.stats import binomtest

    if lost + gained == 0:
        return 1.0
    return float(binomtest(lost, lost + gained, 0.5).pvalue)


def judge(lost: int, gained: int, images: int, max_drop: float) -> Judgement:
    """Test that a row's accuracy is not inferior by more than ``max_drop``, one-sided at 5 %.

    The score test of Liu et al., "Tests for equivalence or non-inferiority for paired binary
    data", Statistics in Medicine 21 (2002), as bounds: it passes with the lower bound at
    -max_drop or above, and fails with the upper bound below.

    Args:
        max_drop: the accuracy that may be given up, a share of 1: 0.01 is one point of percent.

    Raises:
        ValueError: if there are no images, or fewer than flipped.
    """
    # The bounds of a two-sided 90 % interval are one-sided 95 % bounds.
    lower, upper = score_interval(lost, gained, images, confidence=1 - 2 * ERROR_RATE)
    verdict = _verdict(lower, upper, max_drop)
    needed = _images_needed(lost, gained, images, max_drop) if verdict == "inconclusive" else None
    return Judgement(verdict, lower, upper, needed)


def _verdict(lower: float, upper: float, max_drop: float) -> Verdict:
    if lower >= -max_drop:
        return "pass"
    return "fail" if upper < -max_drop else "inconclusive"


def _images_needed(lost: int, gained: int, images: int, max_drop: float) -> int | None:
    """The fewest images that settle it with a probability of ``POWER``.

    As many images again flip at the observed rates on average, and at worse ones half the time. So
    what must be settled is the change of accuracy that is that far on the wrong side of the
    observed one (the usual calculation of a sample size, by the normal distribution).
    """
    z = NormalDist().inv_cdf(1 - ERROR_RATE)
    flips, delta = (lost + gained) / images, (gained - lost) / images
    away = -1 if delta > -max_drop else 1  # to the budget
    reach = NormalDist().inv_cdf(POWER) * sqrt(max(0.0, flips - delta * delta))

    def settled(more: int) -> bool:
        unlucky = max(-1.0, min(1.0, delta + away * reach / sqrt(more)))
        rate = max(flips, abs(unlucky))
        losses, gains = (rate - unlucky) / 2 * more, (rate + unlucky) / 2 * more
        lower, upper = _interval(losses, gains, more, z)
        verdict = _verdict(lower, upper, max_drop)
        return verdict == ("pass" if away < 0 else "fail")

    # At fixed rates the score grows with the square root of the images: once settled, for good.
    numbers = range(images + 1, MOST_IMAGES)
    index = bisect_left(numbers, True, key=settled)
    return numbers[index] if index < len(numbers) else None


def _interval(lost: float, gained: float, images: float, z: float) -> tuple[float, float]:
    # What is an upper bound of the gain is, mirrored, a lower bound of the loss.
    return -_upper(gained, lost, images, z), _upper(lost, gained, images, z)


def _upper(lost: float, gained: float, images: float, z: float) -> float:
    """The delta above the observed one at which Tango's score statistic is -z."""
    from scipy.optimize import brentq

    observed = (gained - lost) / images

    def excess(delta: float) -> float:
        return images * (delta - observed) - z * sqrt(_variance(lost, gained, images, delta))

    # Where all images were lost or none flipped, the variance is 0 at the observed delta too,
    # a root that is no bound; beside it the excess is negative.
    start = max(nextafter(observed, 2.0), observed + _BESIDE) if observed < 1 else 1.0
    return float(brentq(excess, start, 1.0, xtol=1e-15, rtol=1e-14))


def _variance(lost: float, gained: float, images: float, delta: float) -> float:
    """Return the variance of gained - lost for a true ``delta``, at its likeliest losses."""
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
