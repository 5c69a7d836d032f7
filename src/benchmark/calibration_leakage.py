"""Detection of calibration images in the scored split, by their hashes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from src.errors import UsageError
from src.system import atomic_files

# Some data sets hold the same image in two splits. A few of these do not change an accuracy.
TOLERATED_SHARE = 0.02


class CalibrationLeakage:
    """Search for calibration images among the scored images.

    Args:
        calibration: SHA-256 of each calibration image, from the manifest.
        split: name of the scored split, for the error message.
    """

    def __init__(self, calibration: Sequence[str], split: str) -> None:
        self._calibration = set(calibration)
        self._split = split
        self._seen: set[str] = set()

    def add(self, images: NDArray[np.float32]) -> None:
        """Add one scored batch: (n, 3, H, W)."""
        self._seen |= self._calibration.intersection(map(atomic_files.sha256_of, images))

    @property
    def count(self) -> int:
        """Number of calibration images among the scored images."""
        return len(self._seen)

    def require_none(self) -> None:
        """Raise an error if the scored images were used for calibration.

        Raises:
            UsageError: more than ``TOLERATED_SHARE`` of the calibration images are scored.
        """
        if self.count > TOLERATED_SHARE * len(self._calibration):
            raise UsageError(
                "export.calibration_images",
                expected=f"images that are not in the {self._split} split",
                found=f"{self.count} of {len(self._calibration)} that are",
                remedy="export again, calibrated on training images",
            )
