"""A search for scored images that calibration has seen, by their hashes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from src.errors import UsageError
from src.system import atomic_files

# Some data sets hold the same picture in two splits; a few of them decide nothing.
TOLERATED_SHARE = 0.02


class CalibrationLeakage:
    """The calibration images among those that are scored.

    Args:
        calibration: SHA-256 of each calibration image, as the export wrote it down.
        split: the name of what is scored, for the message.
    """

    def __init__(self, calibration: Sequence[str], split: str) -> None:
        self._calibration = set(calibration)
        self._split = split
        self._seen: set[str] = set()

    def add(self, images: NDArray[np.float32]) -> None:
        """Take one more batch that is scored: (n, 3, H, W)."""
        self._seen |= self._calibration.intersection(map(atomic_files.sha256_of, images))

    @property
    def count(self) -> int:
        """The number of calibration images among the scored ones."""
        return len(self._seen)

    def require_none(self) -> None:
        """Refuse to go on if calibration has seen what is scored.

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
