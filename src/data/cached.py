"""Pictures that are decoded once and kept in memory."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from src import machine
from src.data.picture import UnreadableImageError
from src.data.transformed import LabelledImages
from src.errors import UsageError

_SHARE = 0.5  # of the memory that the pictures of one split may take
_PROBED = 64  # pictures by whose size that of all is guessed before they are kept


class CachedImages:
    """A data set whose pictures at ``indices`` are in memory as uint8, uncompressed.

    They are decoded in the first process, before its workers are forked, so that on Linux all of
    them read the same memory; where workers are spawned, each gets a copy.

    Args:
        images: where they come from.
        indices: those that are kept.
        forgiving: keep nothing of a picture that cannot be read, instead of raising; reading it
            raises then.
        processes: that train on this machine, each with a memory of its own.

    Raises:
        UsageError: they would not fit.
        UnreadableImageError: one cannot be read.
    """

    def __init__(
        self,
        images: LabelledImages,
        indices: NDArray[np.int64],
        *,
        forgiving: bool = False,
        processes: int = 1,
    ) -> None:
        self._images = images
        self.targets = images.targets
        self._forgiving = forgiving
        self._require_room(indices, processes)
        self._pixels = dict(self._read_all(indices.tolist()))

    def image(self, index: int) -> Image.Image:
        pixels = self._pixels.get(index)
        return self._images.image(index) if pixels is None else Image.fromarray(pixels)

    def name(self, index: int) -> str:
        return self._images.name(index)

    def _read_all(self, indices: Iterable[int]) -> Iterable[tuple[int, NDArray[np.uint8]]]:
        with ThreadPoolExecutor(machine.usable_cores()) as pool:
            # Pillow decodes without the interpreter lock.
            return [item for item in pool.map(self._read, indices) if item is not None]

    def _read(self, index: int) -> tuple[int, NDArray[np.uint8]] | None:
        try:
            return index, np.array(self._images.image(index))  # (H, W, 3)
        except UnreadableImageError:
            if not self._forgiving:
                raise
            return None

    def _require_room(self, indices: NDArray[np.int64], processes: int) -> None:
        probed = np.random.default_rng(0).permutation(indices)[:_PROBED].tolist()
        sizes = [pixels.nbytes for _, pixels in self._read_all(probed)]
        wanted = round(float(np.mean(sizes)) * len(indices)) if sizes else 0
        room = round(_SHARE * machine.memory_bytes() / processes)
        if wanted > room:
            raise UsageError(
                "data.cache",
                expected=f"pictures that take {room} bytes at most, a process's half of the memory",
                found=f"about {wanted} bytes for {len(indices)} pictures",
                remedy="set data.cache=none, or data.fast_decode=true for smaller ones",
            )
