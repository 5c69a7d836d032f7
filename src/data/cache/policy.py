"""Policy of the image cache: the images that are decoded once, and the place that keeps them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Literal

import numpy as np
import PIL
import torchvision
from numpy.typing import NDArray

from src.data.cache.disk import LAYOUT, DiskCache
from src.data.cache.folder import CacheFolder, default_folder
from src.data.cache.memory import MemoryCache
from src.data.cache.resized import ResizedImages
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.split import Split
from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.system.paths import user_path

# none: an image is decoded at each use. memory: once a training. disk: once.
CacheKind = Literal["none", "memory", "disk"]

_GIGABYTES = 50.0
_FOLDER = "data.cache_dir"


class Cache:
    """Keep decoded images.

    Args:
        kind: the place that keeps them.
        folder: of the files, with ``disk``; None for the user's folder of caches.
        gigabytes: that all files in it may take together, with ``disk``; None for 50.

    Raises:
        UsageError: an option has no effect.
    """

    def __init__(self, kind: CacheKind, folder: str | None, gigabytes: float | None) -> None:
        for argument, value in (("cache_dir", folder), ("cache_gigabytes", gigabytes)):
            if value is not None and kind != "disk":
                raise UsageError(
                    f"data.{argument}",
                    expected="data.cache=disk beside it, for nothing is kept on disk without",
                    found=f"data.cache={kind}",
                    remedy="add data.cache=disk",
                )
        most = _GIGABYTES if gigabytes is None else gigabytes
        self.kind = kind
        self._kept: dict[Split, LabelledImages] = {}
        self._path = folder
        self._most_bytes = round(most * 1e9)

    def keep(
        self,
        split: Split,
        images: LabelledImages,
        indices: NDArray[np.int64],
        resize: Preprocessing | None = None,
        *,
        skip_unreadable: bool,
        processes: int,
    ) -> LabelledImages:
        """Return the same images, decoded at the first call.

        Args:
            split: whose they are.
            images: all of them.
            indices: those that are kept.
            resize: give and keep them as this leaves them, if it is not None.
            skip_unreadable: leave out what cannot be read, instead of raising.
            processes: that train on this machine.

        Raises:
            UsageError: they do not fit, or are in memory already and are to be on disk.
        """
        if split not in self._kept:
            source = images if resize is None else ResizedImages(images, resize)
            if self.kind == "memory":
                kept: LabelledImages = MemoryCache(
                    source, indices, skip_unreadable=skip_unreadable, processes=processes
                )
            else:
                key = _key(_files(images), indices, resize, skip_unreadable)
                path = default_folder() if self._path is None else user_path(self._path, _FOLDER)
                folder = CacheFolder(path, self._most_bytes)
                kept = DiskCache(source, indices, folder, key, skip_unreadable=skip_unreadable)
            self._kept[split] = kept
        return self._kept[split]


def _files(images: LabelledImages) -> ImageFiles:
    if isinstance(images, ImageFiles):
        return images
    raise UsageError(
        "data.cache",
        expected="none or memory, for these images are decoded and in memory already",
        found="disk",
        remedy="set data.cache=none",
    )


def _key(
    images: ImageFiles,
    indices: NDArray[np.int64],
    resize: Preprocessing | None,
    skip_unreadable: bool,
) -> str:
    """A hash of all that the pixels depend on, the files' contents by their size and time."""
    rule = resize and (resize.image_size, resize.resize, resize.interpolation, resize.crop_share)
    versions = (LAYOUT, PIL.__version__, torchvision.__version__)
    digest = hashlib.sha256(f"{versions} {rule} {images.at_least} {skip_unreadable}\n".encode())
    for index in indices.tolist():
        path = Path(images.paths[index]).absolute()
        status = path.stat()
        digest.update(f"{index} {status.st_size} {status.st_mtime_ns} ".encode())
        digest.update(os.fsencode(path) + b"\n")
    return digest.hexdigest()[:32]
