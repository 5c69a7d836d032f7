"""Thumbnails of the images whose top-1 class differs from the baseline's in some row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.run.facts import PreprocessingFacts
from src.run.paths import thumbnail_name
from src.system import atomic_files

MOST = 24  # thumbnails of a measurement: enough to see what the images have in common
SIDE = 96  # pixels


class FlippedImages:
    """Writer of thumbnails of the first ``MOST`` flipped images, as the network sees them.

    Args:
        folder: gets the thumbnails, see :func:`src.run.paths.thumbnail_name`.
        preprocessing: gives the mean and std that the images were normalised with.
        test_set: SHA-256 of the images and labels.
    """

    def __init__(self, folder: Path, preprocessing: PreprocessingFacts, test_set: str) -> None:
        self._folder = folder
        self._mean = np.asarray(preprocessing.mean, np.float32)[:, None, None]
        self._std = np.asarray(preprocessing.std, np.float32)[:, None, None]
        self._test_set = test_set
        self._kept: set[int] = set()  # positions; one image may flip in several rows

    def keep(self, images: NDArray[np.float32], flipped: NDArray[np.bool_], start: int) -> None:
        """Write the thumbnails of the flipped images of a batch.

        Args:
            images: (n, 3, H, W), normalised.
            flipped: (n,), True where top-1 differs from the baseline's.
            start: position of the first image in its split.
        """
        from PIL import Image

        for index in np.flatnonzero(flipped):
            position = start + int(index)
            if position in self._kept:
                continue
            if len(self._kept) == MOST:
                return
            self._kept.add(position)
            # This overwrites a thumbnail of an earlier measurement, perhaps of another size.
            path = self._folder / thumbnail_name(position, self._test_set)
            self._folder.mkdir(exist_ok=True)
            levels = (images[index] * self._std + self._mean).clip(0, 1) * 255  # (3, H, W)
            thumbnail = Image.fromarray(levels.round().astype(np.uint8).transpose(1, 2, 0))
            thumbnail.thumbnail((SIDE, SIDE))
            with atomic_files.whole_file(path) as file:
                thumbnail.save(file, "PNG")
