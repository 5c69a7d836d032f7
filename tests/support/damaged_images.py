"""Image files that are hard to decode: damaged metadata, extreme sizes, cut-off files."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

_RATIONAL, _SIGNED_RATIONAL, _SHORT = 5, 10, 3  # types of EXIF values
_ORIENTATION, _X_RESOLUTION = 0x0112, 0x011A


def _exif(orientation: int, kind: int, value: bytes) -> bytes:
    """Return an EXIF block with an orientation and a resolution of the given type and value."""
    entries = struct.pack("<HHIHH", _ORIENTATION, _SHORT, 1, orientation, 0)
    entries += struct.pack("<HHII", _X_RESOLUTION, kind, len(value) // 8, 8 + 2 + 24 + 4)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + b"\0\0\0\0" + value


def _saved(size: tuple[int, int], kind: str, **options: Any) -> bytes:
    pixels = np.arange(size[0] * size[1] * 3, dtype=np.uint64) * 7 % 251
    file = io.BytesIO()
    shaped = pixels.astype(np.uint8).reshape(size[1], size[0], 3)
    Image.fromarray(shaped).save(file, kind, **options)
    return file.getvalue()


def _png(width: int, height: int, rows: int) -> bytes:
    """Return a grey PNG of the given size with pixel data for only ``rows`` rows."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((1 + width) * rows), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def negative_rational_in_a_turned_jpeg() -> bytes:
    value = struct.pack("<ii", -1, 3)
    return _saved((30, 20), "JPEG", exif=_exif(6, _SIGNED_RATIONAL, value))


def a_division_by_zero_in_a_turned_jpeg() -> bytes:
    value = struct.pack("<II", 1, 0)
    return _saved((30, 20), "JPEG", exif=_exif(3, _RATIONAL, value))


def a_column_of_a_million_pixels() -> bytes:
    return _png(1, 1_000_000, 1_000_000)


def a_row_of_a_million_pixels() -> bytes:
    return _png(1_000_000, 1, 1)


def a_turned_thread_of_pixels() -> bytes:
    return _saved((40_000, 1), "JPEG", exif=_exif(8, _RATIONAL, struct.pack("<II", 72, 1)))


# Files that can be decoded, with the width and height of the upright image.
READABLE: dict[Callable[[], bytes], tuple[int, int]] = {
    negative_rational_in_a_turned_jpeg: (20, 30),
    a_division_by_zero_in_a_turned_jpeg: (30, 20),
    a_column_of_a_million_pixels: (1, 1_000_000),
    a_row_of_a_million_pixels: (1_000_000, 1),
    a_turned_thread_of_pixels: (1, 40_000),
}


def a_png_that_unpacks_to_gigabytes() -> bytes:
    return _png(60_000, 60_000, 1)


def a_png_longer_than_any_picture() -> bytes:
    return _png(1, 2_000_000, 10)


def a_png_of_half_its_bytes() -> bytes:
    content = _saved((50, 50), "PNG")
    return content[: len(content) // 2]


def a_tiff_that_promises_gigabytes() -> bytes:
    content = bytearray(_saved((30, 20), "TIFF"))
    directory = struct.unpack_from("<I", content, 4)[0]
    for entry in range(struct.unpack_from("<H", content, directory)[0]):
        count_offset = directory + 2 + 12 * entry + 4
        struct.pack_into("<I", content, count_offset, 2**31)
    return bytes(content)


def a_ppm_with_an_absurd_size() -> bytes:
    return b"P6 99999999 99999999 255\n" + bytes(100)


def a_bmp_with_negative_sides() -> bytes:
    content = bytearray(_saved((9, 9), "BMP"))
    content[18:26] = struct.pack("<ii", -9, -(2**31))
    return bytes(content)


def an_icon_that_points_beyond_its_end() -> bytes:
    return struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 9, 9, 0, 0, 1, 32, 999, 4000)


def a_dds_without_a_known_pixel_format() -> bytes:
    return b"DDS " + struct.pack("<I", 124) + bytes(range(120)) * 2


def a_gif_without_pixels() -> bytes:
    return _saved((9, 9), "GIF")[:20]


def a_webp_of_half_its_bytes() -> bytes:
    content = _saved((40, 40), "WEBP", lossless=True)
    return content[: len(content) // 2]


def a_psd_of_its_header_alone() -> bytes:
    return b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 9, 9, 8, 3)


def an_eps_that_would_start_ghostscript() -> bytes:
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


UNREADABLE: tuple[Callable[[], bytes], ...] = (
    a_png_that_unpacks_to_gigabytes,
    a_png_longer_than_any_picture,
    a_png_of_half_its_bytes,
    a_tiff_that_promises_gigabytes,
    a_ppm_with_an_absurd_size,
    a_bmp_with_negative_sides,
    an_icon_that_points_beyond_its_end,
    a_dds_without_a_known_pixel_format,
    a_gif_without_pixels,
    a_webp_of_half_its_bytes,
    a_psd_of_its_header_alone,
    an_eps_that_would_start_ghostscript,
)
