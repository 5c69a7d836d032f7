"""Reference outputs: a few inputs with the trained network's own logits.

They travel with the exports, so that any exported file can be compared, on any machine, with the
trained network and not only with another exported file.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from src.backends.base import ExportSource
from src.errors import UsageError, describe
from src.system import atomic_files

IMAGES = 8
_MOST_BYTES = 2**30  # of the arrays, unpacked


def write(path: Path, source: ExportSource) -> None:
    """Write the first calibration images and the source network's logits for them."""
    images = source.calibration[:IMAGES]  # (8, 3, H, W)
    with torch.inference_mode():
        logits = source.network(images)  # (8, K)
    with atomic_files.whole_file(path) as file:
        np.savez(file, images=images.numpy(), logits=logits.numpy())


def read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return images (n, 3, H, W) and logits (n, K).

    Raises:
        UsageError: it is no such file, or a damaged one.
    """
    try:
        arrays = _arrays(path)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _wrong(path, describe(error)) from error
    shapes = ", ".join(f"{array.dtype} {list(array.shape)}" for array in arrays)
    images, logits = arrays
    sound = images.ndim == 4 and logits.ndim == 2 and len(images) == len(logits) > 0  # noqa: PLR2004
    if not sound or {images.dtype, logits.dtype} != {np.dtype(np.float32)}:
        raise _wrong(path, shapes)
    return images, logits


def _arrays(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _MOST_BYTES:
        raise ValueError(f"{size} bytes in it")
    with np.load(path, allow_pickle=False) as content:
        return content["images"], content["logits"]


def _wrong(path: Path, found: str) -> UsageError:
    return UsageError(
        str(path),
        expected="the images and logits that the export wrote",
        found=found,
        remedy="export the run again",
    )
