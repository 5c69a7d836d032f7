"""Images that are decoded once and kept on disk, for this training and later ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from src.data.cache.cached import CachedImages
from src.data.cache.decode import DecodedImages
from src.data.cache.folder import INDEX, PIXELS, CacheFolder, hold, is_whole
from src.data.pipeline.dataset import LabelledImages
from src.errors import UsageError
from src.system.atomic_files import whole_folder

LAYOUT = 1  # of an entry; another one is another key
_MAPPED = {"_pixels", "_index"}  # every process maps the files itself


class DiskCache(CachedImages):
    """A data set whose images at ``indices`` are in one file as uint8, uncompressed.

    The file is mapped into memory: all workers and processes read the same pages, and the system
    lets go of them when it needs the room. One process fills it; others wait and find it.

    Args:
        images, skip_unreadable: see :class:`CachedImages`.
        indices: images to keep.
        folder: of all such files.
        key: the entry's name in it: another one for other pixels.

    Raises:
        UsageError: they would not fit.
        UnreadableImageError: one cannot be read.
    """

    def __init__(
        self,
        images: LabelledImages,
        indices: NDArray[np.int64],
        folder: CacheFolder,
        key: str,
        *,
        skip_unreadable: bool = False,
    ) -> None:
        super().__init__(images, skip_unreadable=skip_unreadable)
        with folder.alone():
            self._entry = folder.entry(key)
            if not is_whole(self._entry):
                _fill(self._entry, self._decoded(), indices, folder)
            self._map()
            os.utime(self._entry)  # it was used now
        self._rows = {index: row for row, index in enumerate(indices.tolist())}

    def image(self, index: int) -> Image.Image:
        row = self._rows.get(index)
        start, height, width = (0, 0, 0) if row is None else self._index[row].tolist()
        if not height:
            return self._images.image(index)
        pixels = self._pixels[start : start + height * width * 3]
        return Image.fromarray(pixels.reshape(height, width, 3))

    def __getstate__(self) -> dict[str, object]:
        # A worker that is spawned maps the file itself; a mapping would travel as a copy of it.
        return {name: value for name, value in vars(self).items() if name not in _MAPPED}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._map()

    def _map(self) -> None:
        self._index: NDArray[np.int64] = np.load(
            self._entry / INDEX, allow_pickle=False
        )  # (N, 3), see _fill
        with hold(self._entry) as file:
            size = os.fstat(file.fileno()).st_size
            # A mapping has the open file too, and with it the hold, for as long as it is there.
            self._pixels: NDArray[np.uint8] = (
                np.memmap(file, np.uint8, "r") if size else np.empty(0, np.uint8)
            )


def _fill(
    entry: Path, decoded: DecodedImages, indices: NDArray[np.int64], folder: CacheFolder
) -> None:
    room = folder.make_room(decoded.estimate_bytes(indices))
    index = np.zeros((len(indices), 3), np.int64)  # where it starts, height, width; 0 for none
    written = 0
    with whole_folder(entry, replaced=(PIXELS, INDEX)) as fresh:
        with (fresh / PIXELS).open("wb") as file:
            for row, pixels in enumerate(decoded.pixels(indices.tolist())):
                if pixels is None:
                    continue
                index[row] = (written, *pixels.shape[:2])
                written += file.write(pixels.tobytes())
                if written > room:
                    raise UsageError(
                        "data.cache",
                        expected=f"images that take {room} bytes at most",
                        found=f"more, after {row + 1} of {len(indices)}",
                        remedy="set data.cache_gigabytes=N or data.cache_dir=PATH for more room",
                    )
        np.save(fresh / INDEX, index)
