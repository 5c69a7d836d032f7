"""Images that are decoded once and kept in memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from src.data.cache.cached import CachedImages
from src.data.pipeline.dataset import LabelledImages
from src.errors import UsageError
from src.system import machine

_SHARE = 0.5  # of the memory that the images of one split may take


class MemoryCache(CachedImages):
    """A data set whose images at ``indices`` are in memory as uint8, uncompressed.

    They are decoded in the first process, before its workers are forked, so that on Linux all of
    them read the same memory; a spawned worker gets a copy.

    Args:
        images, skip_unreadable: see :class:`CachedImages`.
        indices: images to keep.
        processes: number of training processes on this machine; each has memory of its own.

    Raises:
        UsageError: they would not fit.
        UnreadableImageError: one cannot be read.
    """

    def __init__(
        self,
        images: LabelledImages,
        indices: NDArray[np.int64],
        *,
        skip_unreadable: bool = False,
        processes: int = 1,
    ) -> None:
        super().__init__(images, skip_unreadable=skip_unreadable)
        decoded = self._decoded()
        _require_room(decoded.estimate_bytes(indices), len(indices), processes)
        kept = indices.tolist()
        pairs = zip(kept, decoded.pixels(kept), strict=True)
        self._pixels = {index: pixels for index, pixels in pairs if pixels is not None}

    def image(self, index: int) -> Image.Image:
        pixels = self._pixels.get(index)
        return self._images.image(index) if pixels is None else Image.fromarray(pixels)


def _require_room(wanted: int, images: int, processes: int) -> None:
    room = round(_SHARE * machine.memory_bytes() / processes)
    if wanted > room:
        raise UsageError(
            "data.cache",
            expected=f"images that take {room} bytes at most, a process's half of the memory",
            found=f"about {wanted} bytes for {images} images",
            remedy="set data.cache=disk, or data.fast_decode=true for smaller ones",
        )
