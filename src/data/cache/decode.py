"""Images of a data set as arrays, decoded on all cores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_file import UnreadableImageError
from src.data.pipeline.threads import in_order

_SAMPLED = 64  # images whose sizes give the estimate


class DecodedImages:
    """Read images as uint8 (H, W, 3).

    Args:
        images: where they come from.
        skip_unreadable: give None for an image that cannot be read, instead of raising.
    """

    def __init__(self, images: LabelledImages, *, skip_unreadable: bool) -> None:
        self._images = images
        self._skip_unreadable = skip_unreadable

    def pixels(self, indices: Iterable[int]) -> Iterator[NDArray[np.uint8] | None]:
        """Yield the images at ``indices``, in their order.

        Raises:
            UnreadableImageError: one cannot be read.
        """
        yield from in_order(self._read, indices)

    def estimate_bytes(self, indices: NDArray[np.int64]) -> int:
        """Estimate the bytes that all of them take, by a sample."""
        sampled = np.random.default_rng(0).permutation(indices)[:_SAMPLED].tolist()
        sizes = [0 if pixels is None else pixels.nbytes for pixels in self.pixels(sampled)]
        return round(float(np.mean(sizes)) * len(indices)) if sizes else 0

    def _read(self, index: int) -> NDArray[np.uint8] | None:
        try:
            return np.array(self._images.image(index))
        except UnreadableImageError:
            if not self._skip_unreadable:
                raise
            return None
