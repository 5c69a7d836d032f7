"""One way to open an image file, for training, evaluation, export and prediction alike."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image, ImageOps

from src.errors import UsageError, describe

# Pillow's modes of whole numbers above 8 bits. A file of 16 bits comes as I;16 or, from PNM and
# some TIFF, as I. https://pillow.readthedocs.io/en/stable/handbook/concepts.html#concept-modes
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_TO_8_BITS = 257  # 65535 / 255: white stays white


class UnreadableImageError(UsageError):
    """A file that is no image, or not a whole one; its message names it.

    A worker of a DataLoader hands an error over as the text of its traceback, from which torch
    builds the exception again: the message is that text's last line.
    """

    def __init__(self, text: str) -> None:
        message = text.strip().rpartition("\n")[2].partition(f"{type(self).__name__}: ")
        # UsageError builds a message from its parts; here it is built already.
        Exception.__init__(self, message[2] or text)

    @classmethod
    def of(cls, path: str | Path, found: str) -> Self:
        """The error about the file in ``path``."""
        like = UsageError(
            str(path),
            expected="an image that Pillow can decode",
            found=found,
            remedy="replace or remove the file, or set data.on_error=skip",
        )
        return cls(str(like))


def read_image(path: str | Path, at_least: int | None = None) -> Image.Image:
    """The picture in a file, upright by its EXIF orientation, as RGB in 8 bits.

    Args:
        path: of the file.
        at_least: a side in pixels. A JPEG of at least twice that on both sides is decoded at a
            half, a quarter or an eighth of its size, not below ``at_least``, which takes a
            fraction of the time: libjpeg leaves out the high frequencies.

    Raises:
        UnreadableImageError: the file is not a whole image that Pillow can decode, has more
            pixels than Pillow's limit against decompression bombs allows, or pixels of an
            unknown range.
    """
    try:
        with Image.open(path) as image:
            if at_least is not None:
                image.draft(None, (at_least, at_least))  # does nothing but for a JPEG
            ImageOps.exif_transpose(image, in_place=True)  # reads it, and copies only to rotate
            return as_rgb(image)
    # Pillow's readers raise whatever a damaged file leads them to.
    except (
        OSError,
        ValueError,
        SyntaxError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        EOFError,
        MemoryError,
        Image.DecompressionBombError,
    ) as error:
        raise UnreadableImageError.of(path, describe(error)) from error


def as_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode as RGB in 8 bits a channel; itself, if it is that already.

    16 bits are scaled to 8. Transparency is dropped, as torchvision's loader does it, so that what
    is stored under transparent pixels is what the network sees.

    Raises:
        ValueError: the pixels are floating-point numbers, or whole ones beyond 16 bits.
    """
    if image.mode in _DEEP:
        pixels = np.asarray(image).astype(np.int64)  # (H, W)
        if pixels.min() < 0 or pixels.max() > np.iinfo(np.uint16).max:
            raise ValueError("pixels beyond 16 bits, whose range is not known")
        scaled = np.round(pixels / _TO_8_BITS).astype(np.uint8)
        return Image.fromarray(scaled).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    if image.mode in {"P", "PA"}:
        # By way of RGBA, which is how Pillow wants a palette with transparency to be read.
        return image.convert("RGBA").convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
