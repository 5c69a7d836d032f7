"""Hash of a set of labelled images, independent of the preprocessing.

The hash covers the bytes of image files, or the pixels of a data set in memory. Runs with different
``image_size`` or normalisation have the same hash. It changes if a file is replaced by another one
of the same name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_file import UnreadableImageError
from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.threads import in_order
from src.system import atomic_files


def sha256_of_images(
    images: LabelledImages, indices: NDArray[np.int64], class_names: Sequence[str]
) -> str:
    """Return the SHA-256 of the images at ``indices``, in this order, with their class names.

    Images are read on all cores, a few at a time, so memory does not grow with their number.

    Args:
        images: the data set.
        indices: positions in the data set, (n,).
        class_names: K, in label order.

    Raises:
        UnreadableImageError: the file of an image cannot be read.
    """
    digest = hashlib.sha256()
    positions = indices.tolist()
    contents = in_order(lambda index: _sha256(images, index), positions)
    for index, content in zip(positions, contents, strict=True):
        label = hashlib.sha256(class_names[int(images.targets[index])].encode()).hexdigest()
        digest.update(f"{content} {label}\n".encode())  # both have a fixed length
    return digest.hexdigest()


def _sha256(images: LabelledImages, index: int) -> str:
    if isinstance(images, ImageFiles):
        path = images.paths[index]
        try:
            return atomic_files.sha256(Path(path))
        except OSError as error:
            raise UnreadableImageError.of(path, error.strerror or str(error)) from error
    pixels = np.asarray(images.image(index))  # (H, W, 3)
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
