"""Test that a file is the same network: its logits agree with the baseline's within fp32 rounding.

Kernels that sum the same products in another order differ by rounding, and so do a folded and an
unfolded BatchNorm. The differences of each image are compared with the scale of its own logits, so
that an image with huge logits does not hide an error in another. docs/measuring.md has the
measurements behind the limits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.run.rounds import RoundingSums
from src.worker.answer import Logits

# Shapes: n images, K classes.
PerImage = NDArray[np.float64]  # (n,)

# Largest difference that rounding explains, as a share of the spread of an image's logits.
LIMIT = 1e-5
# Resolution of logits that share a large offset, such as 1000.1 and 1000.2, as a share of the
# largest logit: 8 steps of float32.
RESOLUTION = 2.0**-20


class RoundingFigures(NamedTuple):
    """Figures of the differences from the baseline's logits, relative to rounding.

    - ``rounding_error``: each image's largest difference of a logit, as a share of the image's
      scale; the maximum over the images. The scale is the spread of the image's logits, from the
      smallest to the largest, or the median spread of all images if that is larger: an image
      between two classes has nearly equal logits but the same rounding as any other. None if
      logits differ and have no spread.
    - ``beyond_rounding``: the number of images whose share is above ``LIMIT``.
    """

    rounding_error: float | None
    beyond_rounding: int


class Rounding:
    """Differences of logits from the baseline's that exceed their resolution, over all images."""

    def __init__(self) -> None:
        self._differences: list[PerImage] = []
        self._spreads: list[PerImage] = []

    def add(self, logits: Logits, baseline: Logits) -> None:
        """Add one batch: (n, K) each."""
        reference = baseline.astype(np.float64)
        resolution = RESOLUTION * np.abs(reference).max(axis=1)
        difference = np.abs(logits - reference).max(axis=1)  # the largest of K
        self._differences.append(np.maximum(difference - resolution, 0.0))
        self._spreads.append(np.ptp(reference, axis=1))

    def raw(self) -> RoundingSums:
        """Return the accumulated sums."""
        return RoundingSums(
            differences=[float(value) for batch in self._differences for value in batch],
            spreads=[float(value) for batch in self._spreads for value in batch],
        )

    def restore(self, raw: RoundingSums) -> None:
        """Restore what :meth:`raw` returned."""
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
