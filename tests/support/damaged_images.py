"""Image files that are hard to decode: damaged metadata, extreme sizes, cut-off files."""

from __future__ import annotations

import gzip
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


# Blocks that are no EXIF data: no TIFF header, a cut-off directory, and one that points to itself.
_NO_EXIF = (b"Exif\0\0garbage!", b"Exif\0\0II*\0\x08\0\0\0\x09", b"Exif\0\0II*\0\xff\xff\xff\x7f")


def a_png_with_an_exif_block_of_garbage() -> bytes:
    return _saved((30, 20), "PNG", exif=_NO_EXIF[0])


def a_png_with_half_an_exif_block() -> bytes:
    return _saved((30, 20), "PNG", exif=_NO_EXIF[1])


def a_png_with_an_exif_block_that_points_beyond_its_end() -> bytes:
    return _saved((30, 20), "PNG", exif=_NO_EXIF[2])


def a_png_with_an_empty_exif_block() -> bytes:
    return _saved((30, 20), "PNG", exif=b"II")


def a_webp_with_an_exif_block_of_garbage() -> bytes:
    return _saved((30, 20), "WEBP", exif=_NO_EXIF[0])


def a_webp_with_half_an_exif_block() -> bytes:
    return _saved((30, 20), "WEBP", exif=_NO_EXIF[1])


def a_jpeg_with_an_exif_block_of_garbage() -> bytes:
    return _saved((30, 20), "JPEG", exif=_NO_EXIF[0])


# Files that can be decoded, with the width and height of the upright image.
READABLE: dict[Callable[[], bytes], tuple[int, int]] = {
    negative_rational_in_a_turned_jpeg: (20, 30),
    a_division_by_zero_in_a_turned_jpeg: (30, 20),
    a_column_of_a_million_pixels: (1, 1_000_000),
    a_row_of_a_million_pixels: (1_000_000, 1),
    a_turned_thread_of_pixels: (1, 40_000),
    a_png_with_an_exif_block_of_garbage: (30, 20),
    a_png_with_half_an_exif_block: (30, 20),
    a_png_with_an_exif_block_that_points_beyond_its_end: (30, 20),
    a_png_with_an_empty_exif_block: (30, 20),
    a_webp_with_an_exif_block_of_garbage: (30, 20),
    a_webp_with_half_an_exif_block: (30, 20),
    a_jpeg_with_an_exif_block_of_garbage: (30, 20),
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


def _iptc(content: bytes) -> bytes:
    """Return an IPTC file of 16x16 grey pixels by its header, which holds another image file."""
    fields = [
        *((3, 60, b"\1\0"), (3, 20, b"\0\x10"), (3, 30, b"\0\x10"), (3, 120, b"\5")),
        (8, 10, content),
    ]
    return b"".join(
        struct.pack(">BBBH", 0x1C, record, number, len(data)) + data
        for record, number, data in fields
    )


def an_iptc_file_that_holds_a_larger_image() -> bytes:
    return _iptc(_saved((90, 80), "PNG"))


def an_iptc_file_that_holds_an_eps() -> bytes:
    return _iptc(an_eps_that_would_start_ghostscript())


def an_icon() -> bytes:
    return _saved((16, 16), "ICO")


def an_icon_of_a_larger_image_than_its_header_has() -> bytes:
    content = _saved((300, 200), "PNG")
    head = struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 9, 9, 0, 0, 1, 32, 999, 22)
    return head + content


def a_mac_icon_of_a_larger_image_than_its_header_has() -> bytes:
    content = _saved((300, 200), "PNG")
    chunk = b"icp4" + struct.pack(">I", 8 + len(content)) + content
    return b"icns" + struct.pack(">I", 8 + len(chunk)) + chunk


def a_blp_that_holds_a_larger_jpeg() -> bytes:
    content = _saved((300, 200), "JPEG")
    head = b"BLP1" + struct.pack("<iIIIii", 0, 0, 16, 16, 5, 0)
    start = len(head) + 2 * 64 + 4
    offsets = struct.pack("<16I", start, *[0] * 15)
    lengths = struct.pack("<16I", len(content), *[0] * 15)
    return head + offsets + lengths + struct.pack("<I", 0) + content


def a_fits_file_that_unpacks_without_a_limit() -> bytes:
    cards = [
        *("SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   = 0"),
        *("EXTEND  = T", "END"),
    ]
    first = "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    second = "".join(
        card.ljust(80)
        for card in (
            *("XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 8"),
            *("NAXIS2  = 1", "ZIMAGE  = T", "ZBITPIX = 8", "ZNAXIS  = 2", "ZNAXIS1 = 9"),
            *("ZNAXIS2 = 9", "ZCMPTYPE= 'GZIP_1'", "END"),
        )
    )
    rows = gzip.compress(bytes(9 * 9 * 4))
    return first + second.ljust(2880).encode() + bytes(8) + rows


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
    an_iptc_file_that_holds_a_larger_image,
    an_iptc_file_that_holds_an_eps,
    an_icon,
    an_icon_of_a_larger_image_than_its_header_has,
    a_mac_icon_of_a_larger_image_than_its_header_has,
    a_blp_that_holds_a_larger_jpeg,
    a_fits_file_that_unpacks_without_a_limit,
)
