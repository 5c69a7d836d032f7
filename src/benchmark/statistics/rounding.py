"""The test for the same network: logits of every scored image agree within fp32 rounding.

Two kernels that sum the same products in another order differ by rounding, and so do a BatchNorm
that is folded and one that is not. Each image is held against its own scale, so that an image with
huge logits hides nothing in the others. docs/measuring.md has the measurements behind the limits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.run.rounds import RoundingSums
from src.worker.answer import Logits

# Shapes: n images, K classes.
PerImage = NDArray[np.float64]  # (n,)

# The largest difference that rounding explains, as a share of the spread of an image's logits.
LIMIT = 1e-5
# Logits that have a large part in common, as 1000.1 and 1000.2, are no finer than that.
RESOLUTION = 2.0**-20  # of the largest logit: 8 steps of float32


class RoundingFigures(NamedTuple):
    """The figures of a rounding.

    - ``rounding_error``: the maximum, over the images, of the largest difference of a logit as a
      share of the image's scale. The scale is the spread of the image's logits, from the smallest
      to the largest, or the median spread of all images where that is larger: an image between two
      classes has nearly equal logits, and the rounding of any other. None where logits differ that
      have no spread.
    - ``beyond_rounding``: the images at which that share is above ``LIMIT``.
    """

    rounding_error: float | None
    beyond_rounding: int


class Rounding:
    """Differences of logits from the baseline's beside what rounding explains, over all images."""

    def __init__(self) -> None:
        self._differences: list[PerImage] = []
        self._spreads: list[PerImage] = []

    def add(self, logits: Logits, baseline: Logits) -> None:
        """Take one more batch: (n, K) each."""
        reference = baseline.astype(np.float64)
        resolution = RESOLUTION * np.abs(reference).max(axis=1)
        difference = np.abs(logits - reference).max(axis=1)  # the largest of K
        self._differences.append(np.maximum(difference - resolution, 0.0))
        self._spreads.append(np.ptp(reference, axis=1))

    def raw(self) -> RoundingSums:
        """Return all that is kept of the images."""
        return RoundingSums(
            differences=[float(value) for batch in self._differences for value in batch],
            spreads=[float(value) for batch in self._spreads for value in batch],
        )

    def restore(self, raw: RoundingSums) -> None:
        """Go on from what :meth:`raw` returned."""
        self._differences = [np.asarray(raw.differences, np.float64)]
        self._spreads = [np.asarray(raw.spreads, np.float64)]

    def result(self) -> RoundingFigures:
        """Return the figures over all images so far."""
        difference, spread = np.concatenate(self._differences), np.concatenate(self._spreads)
        scale = np.maximum(spread, np.median(spread))
        worst = difference[scale == 0].max(initial=0.0)
        shares = difference[scale > 0] / scale[scale > 0]
        return RoundingFigures(
            rounding_error=None if worst else float(shares.max(initial=0.0)),
            beyond_rounding=int((difference > LIMIT * scale).sum()),
        )
