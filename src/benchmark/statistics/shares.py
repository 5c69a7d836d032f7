"""Intervals of shares, such as an accuracy."""

from __future__ import annotations

import math
from statistics import NormalDist

_Z = NormalDist().inv_cdf(0.975)  # of a 95 % interval


def wilson(share: float, images: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a share (Wilson, 1927)."""
    square = _Z * _Z / images
    middle = (share + square / 2) / (1 + square)
    reach = _Z * math.sqrt(share * (1 - share) / images + square / images / 4) / (1 + square)
    return middle - reach, middle + reach
