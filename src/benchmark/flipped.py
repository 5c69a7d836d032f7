"""Pictures of the images that some row answers otherwise than the baseline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.run.facts import PreprocessingFacts
from src.system import atomic_files

MOST = 24  # of a measurement: enough to see what they have in common
SIDE = 96  # pixels


class FlippedPictures:
    """Keeps a small picture of the first ``MOST`` such images, as the network saw them.

    Args:
        folder: gets ``<position>.png``.
        preprocessing: by which the pictures were normalised.
    """

    def __init__(self, folder: Path, preprocessing: PreprocessingFacts) -> None:
        self._folder = folder
        self._mean = np.asarray(preprocessing.mean, np.float32)[:, None, None]
        self._std = np.asarray(preprocessing.std, np.float32)[:, None, None]
        self._kept: set[int] = set()  # positions; several rows may answer one image otherwise

    def keep(self, images: NDArray[np.float32], flipped: NDArray[np.bool_], start: int) -> None:
        """Keep those of a batch that flipped.

        Args:
            images: (n, 3, H, W), normalised.
            flipped: (n,).
            start: the first one's position in its split.
        """
        from PIL import Image

        for index in np.flatnonzero(flipped):
            position = start + int(index)
            if position in self._kept:
                continue
            if len(self._kept) == MOST:
                return
            self._kept.add(position)
            # In the place of an earlier measurement's, which may be of other images.
            path = self._folder / f"{position}.png"
            self._folder.mkdir(exist_ok=True)
            levels = (images[index] * self._std + self._mean).clip(0, 1) * 255  # (3, H, W)
            picture = Image.fromarray(levels.round().astype(np.uint8).transpose(1, 2, 0))
            picture.thumbnail((SIDE, SIDE))
            with atomic_files.whole_file(path) as file:
                picture.save(file, "PNG")
