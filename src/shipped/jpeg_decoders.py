"""Decoders of JPEG from packages other than Pillow.

Pillow has read the header of a file and checked its size before one of them sees it. They decode
JPEG in colour and in grey. All other files go back to Pillow, and so does a JPEG that a decoder
refuses or may not have decoded as a whole. So hostile files fail alike with every decoder.
"""

from __future__ import annotations

import functools
import importlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING or __package__:  # a part of a package
    from .decoder_names import OPENCV, PACKAGES, SIMPLEJPEG, TORCHVISION
else:  # in the folder of a model
    from decoder_names import OPENCV, PACKAGES, SIMPLEJPEG, TORCHVISION

Array = np.ndarray[Any, np.dtype[Any]]

KINDS = {"JPEG", "MPO"}  # an MPO begins with a whole JPEG, which is its image
MODES = {"L", "RGB"}
SCALES = (8, 4, 2, 1)  # by which sides can be divided at a small cost
MOST_BYTES = 1 << 28  # of a file that is read as a whole
# Second bytes of markers between the scans of a progressive JPEG, and of that at its end.
BETWEEN_SCANS = (0xC4, 0xCC, 0xDA, 0xDB, 0xDD, 0xFE)
END = 0xD9


class Wanted(NamedTuple):
    """The image to decode, by its header.

    Args:
        full: width and height in the file.
        size: width and height to decode at: those of the file over ``scale``, rounded up.
        scale: one of ``SCALES``.
        is_grey: one channel instead of three.
        scan: position of the first pixels in the file; None if it is not known.
        is_progressive: the file has several scans of all pixels.
    """

    full: tuple[int, int]
    size: tuple[int, int]
    scale: int
    is_grey: bool
    scan: int | None
    is_progressive: bool


# Returns (H, W, 1), (H, W, 3) or, with a byte of padding, (H, W, 4); None to leave it to Pillow.
Decode = Callable[[bytes, Wanted], "Array | None"]


class MissingDecoderError(RuntimeError):
    """The package of a decoder is not installed here, or lacks its function."""


def takes(file: Image.Image) -> bool:
    """Return True for an opened file of a kind that these decoders decode."""
    return file.format in KINDS and file.mode in MODES


def decoded(name: str, file: Image.Image, at_least: int | None) -> Image.Image | None:
    """Return the pixels of an opened file; None if Pillow has to decode it.

    Args:
        name: of the decoder.
        file: opened by Pillow, which has not decoded it.
        at_least: side in pixels; the image is decoded at 1/2, 1/4 or 1/8 of its size if both sides
            stay at least so long. None for the whole size.

    Raises:
        MissingDecoderError: its package is not installed.
    """
    decode = load(name)
    if not takes(file):
        return None
    scan = _stream(file).tell() if file.format == "JPEG" else None
    content = _whole(file)
    if content is None:
        return None
    scale = 1 if at_least is None else _scale(file.size, at_least)
    width, height = (-(-side // scale) for side in file.size)
    wanted = Wanted(
        full=file.size,
        size=(width, height),
        scale=scale,
        is_grey=file.mode == "L",
        scan=scan,
        is_progressive="progressive" in file.info,
    )
    pixels = decode(content, wanted)
    if pixels is None or pixels.shape[:2] != (height, width):
        return None
    mode = {1: "L", 3: "RGB", 4: "RGBX"}[pixels.shape[2]]
    data = np.ascontiguousarray(pixels).data
    return Image.frombytes("L" if mode == "L" else "RGB", wanted.size, data, "raw", mode)


@functools.cache
def load(name: str) -> Decode:
    """Import a decoder.

    Raises:
        MissingDecoderError: its package is not installed.
    """
    try:
        return _LOADERS[name]()
    except (ImportError, AttributeError, OSError) as error:
        package = PACKAGES[name][1]
        words = " ".join(f"{error}".split())
        raise MissingDecoderError(f"{words}; pip install {package}") from error


def _scale(size: tuple[int, int], at_least: int) -> int:
    """Return the largest scale that leaves both sides as long: the rule of Pillow's draft."""
    most = min(size) // at_least
    return next((scale for scale in SCALES if scale <= most), 1)


def _stream(file: Image.Image) -> Any:
    return file.fp  # type: ignore[attr-defined]  # of an opened file


def _whole(file: Image.Image) -> bytes | None:
    """Return all bytes of an opened file; None if they are too many."""
    stream = _stream(file)
    if stream.seek(0, io.SEEK_END) > MOST_BYTES:
        return None
    stream.seek(0)
    content: bytes = stream.read()
    return content


def has_end(content: bytes, wanted: Wanted) -> bool:
    """Return True if nothing but pixels is between the header of a JPEG and its end.

    Pixels do not contain the bytes of a marker, but for those at which a decoder may restart.
    """
    if wanted.scan is None:
        return False
    pixels = np.frombuffer(content, np.uint8, offset=wanted.scan)
    second = pixels[1:][pixels[:-1] == 0xFF]  # noqa: PLR2004  # the first byte of a marker
    markers = second[(second != 0) & (second != 0xFF) & (second & 0xF8 != 0xD0)]  # noqa: PLR2004
    ends = np.flatnonzero(markers == END)
    if not len(ends):
        return False
    between = markers[: ends[0]]
    return not len(between) or (
        wanted.is_progressive and bool(np.isin(between, BETWEEN_SCANS).all())
    )


def _simplejpeg() -> Decode:
    simplejpeg: Any = importlib.import_module("simplejpeg")

    def decode(content: bytes, wanted: Wanted) -> Array | None:
        width, height = wanted.size
        try:
            # Two headers in one file could give Pillow and libjpeg different sizes.
            if simplejpeg.decode_jpeg_header(content)[1::-1] != wanted.full:
                return None
            # A warning of libjpeg, as of a file that ends too early, is an error here.
            pixels: Array = simplejpeg.decode_jpeg(
                content,
                "GRAY" if wanted.is_grey else "RGBX",
                min_width=width,
                min_height=height,
            )
        except (ValueError, KeyError):
            return None
        return pixels

    return decode


def _opencv() -> Decode:
    cv2: Any = importlib.import_module("cv2")
    # By scale; the flags of a reduced image in colour add only IMREAD_COLOR_BGR.
    reduced = {
        1: cv2.IMREAD_GRAYSCALE,
        2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
        4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
        8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    }
    in_colour = cv2.IMREAD_COLOR_RGB

    def decode(content: bytes, wanted: Wanted) -> Array | None:
        # OpenCV decodes what is there, and does not tell of damage behind the last line.
        if not has_end(content, wanted):
            return None
        flags = reduced[wanted.scale] | cv2.IMREAD_IGNORE_ORIENTATION
        if not wanted.is_grey:
            flags |= in_colour
        try:
            pixels: Array | None = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
        except cv2.error:
            return None
        return pixels[..., None] if pixels is not None and pixels.ndim == 2 else pixels  # noqa: PLR2004

    return decode


def _torchvision() -> Decode:
    torch: Any = importlib.import_module("torch")
    torchvision_io: Any = importlib.import_module("torchvision.io")
    decode_jpeg, modes = torchvision_io.decode_jpeg, torchvision_io.ImageReadMode

    def decode(content: bytes, wanted: Wanted) -> Array | None:
        data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
        try:
            channels_first = decode_jpeg(data, modes.GRAY if wanted.is_grey else modes.RGB)
        except RuntimeError:
            return None
        pixels: Array = channels_first.permute(1, 2, 0).numpy()
        return pixels

    return decode


_LOADERS: dict[str, Callable[[], Decode]] = {
    SIMPLEJPEG: _simplejpeg,
    OPENCV: _opencv,
    TORCHVISION: _torchvision,
}
