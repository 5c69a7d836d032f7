"""Reading an image file and making a model's input of it, as the evaluation did.

It needs numpy and Pillow, and the package of another decoder where one is named.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import io
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

if TYPE_CHECKING or __package__:  # a part of a package
    from . import jpeg_decoders
    from .decoder_names import DRAFT, PLAIN, SCALING
else:  # in the folder of a model
    import jpeg_decoders
    from decoder_names import DRAFT, PLAIN, SCALING

Array = np.ndarray[Any, np.dtype[Any]]

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

MOST_PIXELS = 178_956_970  # limit against decompression bombs
LONGEST_SIDE = 1 << 20
LEAST_TEXT = 1 << 20  # Pillow's limit of the bytes of one text or colour profile in a PNG
MOST_TEXT = 1 << 24  # ours
LONGEST_RATIO = 32  # of an image's sides: the ends of a longer one are cut off before the resizing
# The header of each has the size of its pixels. Others start programs (EPS), open what is inside by
# every plugin (IPTC), hold an image of another size (ICO, ICNS, BLP), or are rare.
DECODED = {
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "PCX", "PNG", "PPM"),
    *("PSD", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP"),
}
ORIENTATION = 0x0112  # the EXIF tag
UPRIGHT: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImageError(ValueError):
    """The file is not an image, or cannot be decoded here."""


def read_image(
    path: str | Path | bytes | bytearray | memoryview | IO[bytes],
    most_pixels: int = MOST_PIXELS,
    at_least: int | None = None,
    decoder: str = PLAIN,
) -> Image.Image:
    """Return the image in a file, upright by its EXIF orientation, as RGB in 8 bits.

    Bytes are the content of a file.

    With ``at_least``, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size if both sides stay at least
    so long. This takes a fraction of the time, because libjpeg leaves out the high frequencies.

    A decoder of another package decodes the JPEGs that it can. Pillow always reads the header,
    decodes all other files, in their whole size, and turns and converts the image.

    Raises:
        MemoryError: there is not enough memory to decode the file, which may be sound.
        MissingDecoderError: the package of the decoder is not installed.
        TypeError: it is no file, such as an array or an image that is decoded already.
        UnreadableImageError: the file cannot be decoded, or the image is larger than
            ``most_pixels`` or ``LONGEST_SIDE``.
    """
    if isinstance(path, (bytes, bytearray, memoryview)):
        path = io.BytesIO(path)
    if not isinstance(path, (str, os.PathLike)) and not hasattr(path, "read"):
        raise TypeError(
            f"expected the path or the content of an image file, found {type(path).__name__}"
        )
    try:
        with Image.open(path, formats=formats()) as file:
            require_bounded(file.size, most_pixels)
            image = None
            if decoder not in {PLAIN, DRAFT}:
                image = jpeg_decoders.decoded(decoder, file, at_least)
            elif at_least is not None:
                file.draft(None, (at_least, at_least))  # has an effect on JPEG only
            if image is None:
                file.load()
                image = file
            # A format whose header has another size than its pixels would pass the first check.
            require_bounded(image.size, most_pixels)
            require_bounded(image.im.size, most_pixels)
            image = as_rgb(image)
            method = UPRIGHT.get(orientation(file))
            return image if method is None else image.transpose(method)
    except jpeg_decoders.MissingDecoderError:
        raise
    except UnidentifiedImageError as error:
        kinds = ", ".join(sorted(formats()))
        raise UnreadableImageError(f"cannot identify image file; decoded are {kinds}") from error
    except Exception as error:  # a damaged file can make a decoder raise anything
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            raise MemoryError("not enough memory to decode it") from error
        raise UnreadableImageError(" ".join(f"{error}".split()) or type(error).__name__) from error


def orientation(image: Image.Image) -> object:
    """Return the EXIF orientation; None if there is none, or the EXIF data are damaged."""
    try:
        return image.getexif().get(ORIENTATION)
    except MemoryError:
        raise
    except Exception:  # Pillow raises SyntaxError, struct.error and more; the pixels are sound
        return None


def require_bounded(size: tuple[int, int], most_pixels: int) -> None:
    """Refuse an image that is too large, by its header, before its pixels take memory."""
    width, height = size
    if width * height > most_pixels or max(size) > LONGEST_SIDE:
        raise ValueError(f"{width}x{height} pixels, more than {most_pixels} or {LONGEST_SIDE} long")


@functools.cache
def formats() -> tuple[str, ...]:
    """Return the formats that are decoded, and HEIF if pillow-heif is installed."""
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    Image.init()
    allow_long_texts()
    return tuple(name for name in Image.ID if name in DECODED)


def allow_long_texts() -> None:
    """Let Pillow open a PNG with a text or colour profile of up to ``MOST_TEXT`` bytes.

    It would refuse the whole image, though none of them is used. A limit that another part of the
    program has set stays, and so does that of all texts of a file, 64 MiB.
    """
    if PngImagePlugin.MAX_TEXT_CHUNK == LEAST_TEXT:
        PngImagePlugin.MAX_TEXT_CHUNK = MOST_TEXT


def as_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB in 8 bits."""
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip to 8
        values = np.asarray(image)
        if values.min() < 0 or values.max() > np.iinfo(np.uint16).max:
            raise ValueError("pixels beyond 16 bits")
        image = Image.fromarray(np.round(values / 257).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("floating-point pixels")
    elif image.mode in {"P", "PA"}:
        image = image.convert("RGBA")
    return image.convert("RGB")


def least_side(decoder: str, rule: dict[str, Any]) -> int | None:
    """Return the side below which a decoder makes no image smaller; None if it always makes all."""
    if decoder not in SCALING:
        return None
    size: int = rule["image_size"]
    return size if rule["resize"] == "squash" else round(size / rule["crop_share"])


def preprocess(image: Image.Image, rule: dict[str, Any]) -> Array:
    """Return the network's input, (3, H, W): resized, scaled, normalised as in the evaluation."""
    return as_input(resize(image, rule), rule)


def resize(image: Image.Image, rule: dict[str, Any]) -> Image.Image:
    """Return the image in the model's size, resized and cut as in the evaluation."""
    size = rule["image_size"]
    filter_ = RESAMPLING[rule["interpolation"]]
    if rule["resize"] == "squash":
        return image.resize((size, size), filter_)
    # Cut the ends off a very long image, resize the shorter side, crop the middle.
    shorter = min(image.size)
    left, top = (
        max(side - LONGEST_RATIO * shorter, 0) // (4 * shorter) * (2 * shorter)
        for side in image.size
    )
    image = image.crop((left, top, image.width - left, image.height - top))
    to = round(size / rule["crop_share"])
    width, height = (int(to * side / shorter) for side in image.size)
    image = image.resize((width, height), filter_)
    left, top = round((width - size) / 2), round((height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def as_input(image: Image.Image, rule: dict[str, Any], *, takes_pixels: bool = False) -> Array:
    """Return the model's input for an image of its size.

    It is (3, H, W), scaled and normalised, or the pixels (H, W, 3) for a model that normalises them
    itself. The 256 levels are computed and looked up: the same bits in a quarter of the time.
    """
    if takes_pixels:
        return np.asarray(image)
    levels = np.arange(256, dtype=np.float32)[:, None] * np.float32(rule["scale"])
    mean, std = (np.asarray(rule[name], dtype=np.float32) for name in ("mean", "std"))
    table = np.ascontiguousarray(((levels - mean) / std).T)  # (3, 256)
    pixels = np.asarray(image)  # (H, W, 3)
    values = np.empty((3, *pixels.shape[:2]), np.float32)
    for channel in range(3):
        np.take(table[channel], pixels[..., channel], out=values[channel], mode="clip")
    return values
