"""Image files with their labels. A file is opened at each use of its image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import tee

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_file import UnreadableImageError, read_image
from src.data.pipeline.path_list import PathList
from src.data.pipeline.split import EVALUATION_SPLITS, Parts
from src.data.pipeline.threads import in_order
from src.errors import UsageError

FEW = 10_000  # data sets of up to so many files are checked by default


class ImageFiles:
    """Paths and labels of image files.

    Args:
        paths: paths of the files.
        targets: label of each file.
        at_least: side in pixels below which a JPEG is not decoded, see :func:`read_image`; None to
            decode it at its full size.
    """

    def __init__(
        self, paths: Sequence[str], targets: Iterable[int], at_least: int | None = None
    ) -> None:
        self.paths = paths if isinstance(paths, PathList) else PathList(paths)
        self.targets: NDArray[np.int64] = np.fromiter(targets, dtype=np.int64)
        self.at_least = at_least

    def image(self, index: int) -> Image.Image:
        return read_image(self.paths[index], self.at_least)

    def name(self, index: int) -> str:
        """Return the image's path."""
        return self.paths[index]

    def shrunk(self, at_least: int) -> ImageFiles:
        """Return the same files, with JPEGs decoded smaller but not below ``at_least``."""
        return ImageFiles(self.paths, self.targets, at_least)


def unreadable(paths: Iterable[str]) -> Iterator[tuple[str, UnreadableImageError]]:
    """Decode every file, on all cores; yield the unreadable ones with their errors."""
    checked, named = tee(paths)
    for path, error in zip(named, in_order(_error, checked), strict=True):
        if error is not None:
            yield path, error


def readable(images: ImageFiles, indices: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
    """Return the ``indices`` whose files can be decoded, and the paths of the others."""
    broken = {path for path, _ in unreadable(images.paths[index] for index in indices)}
    kept = [index for index in indices.tolist() if images.paths[index] not in broken]
    return np.array(kept, dtype=np.int64), sorted(broken)


def leave_out_unreadable(parts: Parts[LabelledImages]) -> list[str]:
    """Reduce the evaluation splits to files that can be decoded; return the paths of the others.

    An evaluation uses each image once, so their number must be known before.

    Args:
        parts: the splits, changed in place.

    Raises:
        UsageError: no file of a split can be decoded.
    """
    paths: list[str] = []
    for split in EVALUATION_SPLITS:
        images, indices = parts[split]
        if not isinstance(images, ImageFiles):
            continue
        kept, left_out = readable(images, indices)
        if not len(kept):
            raise UsageError(
                "data",
                expected=f"images in the {split} split that can be read",
                found=f"none among {len(indices)}, the first {left_out[0]}",
                remedy="look at them with python -m src.data",
            )
        parts[split] = (images, kept)
        paths += left_out
    return paths


def require_readable(parts: Parts[LabelledImages], verify: bool | None) -> None:
    """Decode all files of a data set, to find unreadable ones before training.

    Args:
        parts: the data set.
        verify: True to decode all files, False to decode none; None to decode them if the data set
            is small, so that it takes seconds.

    Raises:
        UnreadableImageError: a file cannot be decoded; the error is that of the first one.
    """
    sources = {id(images): images for images, _ in parts.values()}
    files = [images for images in sources.values() if isinstance(images, ImageFiles)]
    paths = [path for images in files for path in images.paths]
    if verify if verify is not None else len(paths) <= FEW:
        for _, error in unreadable(paths):
            raise error


def _error(path: str) -> UnreadableImageError | None:
    try:
        read_image(path)
    except UnreadableImageError as error:
        return error
    return None
