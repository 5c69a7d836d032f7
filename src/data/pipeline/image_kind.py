"""Kinds of image files by their first bytes, and the kinds that the installed Pillow decodes."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import warnings
from pathlib import Path

from PIL import Image

from src.shipped.predict_images import allow_long_texts

# Formats that are decoded. Their plugins read the size of the pixels from the header, so a limit on
# it holds before they are decoded. Not among them, of the formats that Pillow knows:
# - EPS, which starts Ghostscript; BUFR, GRIB, HDF5, MPEG and WMF, which need another program.
# - IPTC, which opens data inside of it with every plugin, EPS among them.
# - ICO, ICNS and BLP, which hold an image of another size than their header has; ICO is decoded
#   when it is opened. FITS, which unpacks gzip without a limit.
# - Formats of one program or device, and those that an installed package may register.
# https://pillow.readthedocs.io/en/stable/handbook/image-file-formats.html
DECODED = frozenset(
    {
        *("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "PCX", "PNG", "PPM"),
        *("PSD", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP"),
    }
)

# Kinds of images by the first bytes of their files. No text file begins with any of these.
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xffO\xffQ", "JPEG2000"),
    (b"8BPS\x00\x01", "PSD"),
    (b"qoif", "QOI"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\x00\x00\x01\x00", "ICO"),
)
_HEAD_BYTES = 64
_BMP_HEADERS = frozenset(
    {12, 40, 52, 56, 64, 108, 124}
)  # sizes in bytes of the header after the file header
_HEVC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_AV1 = frozenset({b"avif", b"avis"})
# Camera raw files have the signature of TIFF. Pillow would return the thumbnail in them.
_CAMERA_RAW = frozenset(
    {
        *(".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".k25", ".kdc"),
        *(".mef", ".mos", ".nef", ".nrw", ".pef", ".rwl", ".sr2", ".srf", ".srw"),
    }
)

# Advice for kinds that are not decoded, or not by Pillow alone.
_REMEDIES = {
    "HEIC": "install pillow-heif to read HEIC, or convert the file to JPEG",
    "AVIF": "install Pillow 11.3 or later to read AVIF, or convert the file to JPEG",
    "JPEG XL": "convert the file from JPEG XL to JPEG or PNG",
    "ICO": "convert the file from ICO to PNG",
    "camera raw": "convert the file from camera raw to JPEG or PNG",
}
# Advice for what other programs leave under the name of an image, by its first bytes in lower case.
_REPLACED = (
    (b"version https://git-lfs", "it is a pointer of Git LFS: fetch the images by git lfs pull"),
    (b"<!doctype html", "it is a web page that was saved in place of the image: download it again"),
    (b"<html", "it is a web page that was saved in place of the image: download it again"),
)
_FORMATS = {"HEIC": "HEIF"}  # Pillow's name of a kind, if it differs


@functools.cache
def formats() -> tuple[str, ...]:
    """Return Pillow's names of the formats that are decoded, with HEIF if pillow-heif is there.

    They are an argument of ``Image.open``, which would try all registered formats otherwise.
    """
    # The plugin comes with the extra "heif". Without it HEIC files are passed over, and the message
    # about them names the plugin.
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_heif").register_heif_opener()
    # Pillow warns of damaged metadata, which do not matter, and of large images, which read_image
    # limits itself.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    Image.init()
    allow_long_texts()
    return tuple(name for name in Image.ID if name in DECODED)


@functools.cache
def endings() -> frozenset[str]:
    """Return the file name endings, in lower case, of files that count as images unopened."""
    readable = frozenset(formats())
    registered = Image.registered_extensions()
    return frozenset(ending for ending, kind in registered.items() if kind in readable)


def kind_of(path: str | Path) -> str | None:
    """Return the kind of image by a file's first bytes; None if the kind is not known.

    Raises:
        OSError: the file cannot be read.
    """
    head = _head(path)
    kind = next((kind for signature, kind in _SIGNATURES if head.startswith(signature)), None)
    if kind == "TIFF" and ending_of(path) in _CAMERA_RAW:
        return "camera raw"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _kind_of_container(head)
    return kind


def _head(path: str | Path) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123  # Path() costs more than the reading
        return file.read(_HEAD_BYTES)


def _kind_of_container(head: bytes) -> str | None:
    """Return HEIC or AVIF by the brands of an ISO base media file (ISO/IEC 14496-12), or None."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12], *(head[start : start + 4] for start in range(16, size, 4))}
    if brands & _HEVC:
        return "HEIC"
    return "AVIF" if brands & _AV1 else None


def can_read(kind: str) -> bool:
    """Return True if the installed Pillow decodes such images."""
    return _FORMATS.get(kind, kind) in formats()


def remedy_for(kind: str) -> str | None:
    """Return advice on how to read a kind of images; None if it can be read, or none is known."""
    return None if can_read(kind) else _REMEDIES.get(kind)


def remedy_for_file(path: str | Path) -> str | None:
    """Return advice on a file that Pillow cannot read by its first bytes; None without any."""
    try:
        kind = kind_of(path)
        head = _head(path).lstrip().lower()
    except OSError:
        return None  # the caller already has an error about this file
    if kind is not None:
        return remedy_for(kind)
    return next((remedy for beginning, remedy in _REPLACED if head.startswith(beginning)), None)


def ending_of(path: str | Path) -> str:
    """Return the ending of a file name in lower case, with its dot; empty if there is none."""
    return os.path.splitext(path)[1].lower()  # noqa: PTH122  # Path() costs 20 times as much
