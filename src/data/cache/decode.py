"""Pictures of a data set as arrays, decoded on all cores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_file import UnreadableImageError
from src.data.pipeline.threads import in_order

_PROBED = 64  # pictures by whose size that of all is guessed


class DecodedImages:
    """Reads pictures as uint8 (H, W, 3).

    Args:
        images: where they come from.
        forgiving: give None for a picture that cannot be read, instead of raising.
    """

    def __init__(self, images: LabelledImages, *, forgiving: bool) -> None:
        self._images = images
        self._forgiving = forgiving

    def pixels(self, indices: Iterable[int]) -> Iterator[NDArray[np.uint8] | None]:
        """The pictures at ``indices``, in their order.

        Raises:
            UnreadableImageError: one cannot be read.
        """
        yield from in_order(self._read, indices)

    def estimate_bytes(self, indices: NDArray[np.int64]) -> int:
        """About how many bytes all of them take, by a sample."""
        probed = np.random.default_rng(0).permutation(indices)[:_PROBED].tolist()
        sizes = [0 if pixels is None else pixels.nbytes for pixels in self.pixels(probed)]
        return round(float(np.mean(sizes)) * len(indices)) if sizes else 0

    def _read(self, index: int) -> NDArray[np.uint8] | None:
        try:
            return np.array(self._images.image(index))
        except UnreadableImageError:
            if not self._forgiving:
                raise
            return None
