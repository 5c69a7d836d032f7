"""The reader of image files for training, evaluation, export and prediction."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Self

import numpy as np
from PIL import Image

from src.data.pipeline.image_kind import formats, remedy_for_file
from src.errors import UsageError, describe
from src.run.preprocessing_steps import DEEP_DIVISOR, ORIENTATION
from src.system import os_errors

# Pillow's modes of whole numbers above 8 bits. A file of 16 bits has mode I;16 or, as PNM and some
# TIFF, mode I. https://pillow.readthedocs.io/en/stable/handbook/concepts.html#concept-modes
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")
# Lookup table from 16 bits to 8 bits.
_TO_8_BITS = np.round(np.arange(65_536) / DEEP_DIVISOR).astype(np.uint8)

# Key of a remark on a file in ``Image.info``, for the check of a data set.
REMARK = "lightship_remark"
_PHOTOMETRIC = 262  # TIFF's tag; 0 is white as zero, which Pillow turns round in 8 bits only

# Limits of the decoded size. The first is Pillow's own limit against decompression bombs, which
# another library may have switched off. The filter weights of a longer side would take gigabytes.
MOST_PIXELS = 178_956_970
LONGEST_SIDE = 1 << 20

# The transposition that turns an image upright, by its EXIF orientation.
_TRANSPOSE: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Errors for which the file is not to blame: too many files are open, the disk fails or was removed,
# or a network disk does not answer. To skip such images would leave out some that are sound.
_OF_THE_SYSTEM = frozenset({errno.EMFILE, errno.ENFILE}) | os_errors.OF_DISKS


class UnreadableImageError(UsageError):
    """The file is not an image, or is incomplete. The message names the file.

    A DataLoader worker sends an error as the text of its traceback, and torch builds a new
    exception from that text. The constructor takes the message from the last line of the text.
    """

    def __init__(self, text: str) -> None:
        message = text.strip().rpartition("\n")[2].partition(f"{type(self).__name__}: ")
        # UsageError would build the message from its parts; this one is complete.
        Exception.__init__(self, message[2] or text)

    @classmethod
    def of(cls, path: str | Path, found: str, remedy: str | None = None) -> Self:
        """Return the error about the file at ``path``."""
        template = UsageError(
            str(path),
            expected="an image that Pillow can decode",
            found=found,
            remedy=remedy or "replace or remove the file, or set data.on_error=skip",
        )
        return cls(str(template))


def read_image(path: str | Path, at_least: int | None = None) -> Image.Image:
    """Return the image in a file, upright by its EXIF orientation, as RGB in 8 bits.

    Args:
        path: path of the file.
        at_least: side in pixels. A JPEG whose sides are at least twice as long is decoded at 1/2,
            1/4 or 1/8 of its size, but not below ``at_least``. This takes a fraction of the time,
            because libjpeg leaves out the high frequencies.

    Raises:
        MemoryError: there is not enough memory to decode the file, which may be sound.
        OSError: the disk fails or does not answer, or too many files are open. It has the path.
        UnreadableImageError: the file is not a whole image that Pillow can decode, has more
            pixels than ``MOST_PIXELS`` or a side above ``LONGEST_SIDE``, or pixels of an unknown
            range.
    """
    try:
        with Image.open(path, formats=formats()) as image:
            _require_bounded(image.size)
            if at_least is not None:
                image.draft(None, (at_least, at_least))  # has an effect on JPEG only
            image.load()
            # A format whose header has another size than its pixels would pass the first check.
            _require_bounded(image.size)
            _require_bounded(image.im.size)
            remark = _remark(image)
            turned = _upright(as_rgb(image), orientation(image))
            turned.info[REMARK] = remark  # always: a text in a file may have the same key
            return turned
    except Exception as error:  # a damaged file can make a decoder raise anything
        if os_errors.is_out_of_memory(error):
            raise MemoryError(f"{path} cannot be decoded in the memory that is left") from error
        if isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM:
            # An error of read() has no path, and a DataLoader worker hands the text over only.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise UnreadableImageError.of(path, describe(error), remedy_for_file(path)) from error


def _require_bounded(size: tuple[int, int]) -> None:
    """Refuse an image that is too large, by its header, before its pixels take memory."""
    width, height = size
    if width * height > MOST_PIXELS or max(size) > LONGEST_SIDE:
        raise ValueError(
            f"{width}x{height} pixels, more than {MOST_PIXELS} in all or {LONGEST_SIDE} on a side"
        )


def orientation(image: Image.Image) -> object:
    """Return the EXIF orientation; None if there is none, or the EXIF data are damaged."""
    try:
        return image.getexif().get(ORIENTATION)
    except MemoryError:
        raise
    except Exception:  # Pillow raises SyntaxError, struct.error and more; the pixels are sound
        return None


def _remark(image: Image.Image) -> str | None:
    """Return what training does not take of a sound file; None for a usual one."""
    if image.format != "TIFF":  # an animation's first picture is what its maker shows first
        return None
    if getattr(image, "is_animated", False):
        return "TIFF files of several pages, of which the first one is used"
    tags = getattr(image, "tag_v2", {})
    if image.mode in _DEEP and tags.get(_PHOTOMETRIC) == 0:
        return "TIFF files of 16 bits with white as zero, which are read as negatives"
    return None


def _upright(image: Image.Image, orientation: object) -> Image.Image:
    # ImageOps.exif_transpose also rewrites the EXIF data, which fails if any other tag is damaged.
    method = _TRANSPOSE.get(orientation)
    return image if method is None else image.transpose(method)


def as_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB in 8 bits per channel; RGB is returned as it is.

    See :class:`src.run.preprocessing_steps.ToRgb`. Transparency is dropped, as torchvision's loader
    does.

    Raises:
        ValueError: the pixels are floating-point numbers, or whole numbers beyond 16 bits.
    """
    if image.mode in _DEEP:
        pixels = np.asarray(image)  # (H, W)
        if pixels.min() < 0 or pixels.max() > np.iinfo(np.uint16).max:
            raise ValueError("pixels beyond 16 bits, whose range is not known")
        return Image.fromarray(_TO_8_BITS[pixels]).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not known")
    if image.mode in {"P", "PA"}:
        # Pillow converts a palette with transparency correctly only by way of RGBA.
        return image.convert("RGBA").convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
