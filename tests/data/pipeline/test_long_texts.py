"""PNG files with long texts and colour profiles, which Pillow refuses from 1 MiB on."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from src.data.pipeline import image_kind
from src.data.pipeline.image_file import UnreadableImageError, read_image
from src.shipped import predict_images
from tests.support import photos

MIB = 1 << 20
READERS = {"training": read_image, "predict.py": predict_images.read_image}
# Chunks of a PNG, for a number of bytes that they unpack to.
TEXTS: dict[str, Callable[[int], tuple[bytes, bytes]]] = {
    "colour profile": lambda size: (b"iCCP", b"ICC Profile\0\0" + zlib.compress(bytes(size))),
    "packed text": lambda size: (b"zTXt", b"layers\0\0" + zlib.compress(b"x" * size)),
    "packed text of other languages": lambda size: (
        b"iTXt",
        b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"x" * size),
    ),
    "text": lambda size: (b"tEXt", b"layers\0" + b"x" * size),
}


def png(path: Path, *texts: tuple[bytes, bytes], behind: bool = False) -> Path:
    """Write an image that is turned by its EXIF data, with texts before or behind its pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photos.pixels(20, 30)).save(path, exif=exif)
    content = path.read_bytes()
    chunks = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in texts
    )
    place = content.index(b"IEND" if behind else b"IDAT") - 4
    path.write_bytes(content[:place] + chunks + content[place:])
    return path


@pytest.fixture(autouse=True)
def _limits_of_pillow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set Pillow's own limit for the time of a test, as in a new process."""
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", MIB)
    functions = (image_kind.formats, predict_images.formats)
    for function in functions:
        function.cache_clear()
    yield
    for function in functions:
        function.cache_clear()


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("size", [MIB + 1, 15 * MIB])
@pytest.mark.parametrize("text", TEXTS)
def test_a_png_with_long_texts_is_an_image(
    text: str, size: int, reader: str, tmp_path: Path, *, behind: bool
) -> None:
    path = png(tmp_path / "x.png", TEXTS[text](size), behind=behind)
    turned = np.rot90(photos.pixels(20, 30), -1)
    assert np.array_equal(np.asarray(READERS[reader](path)), turned)


@pytest.mark.parametrize("reader", READERS)
def test_texts_without_a_bound_are_refused(reader: str, tmp_path: Path) -> None:
    for text in ("colour profile", "packed text", "packed text of other languages"):
        path = png(tmp_path / "x.png", TEXTS[text](17 * MIB))
        with pytest.raises((UnreadableImageError, predict_images.UnreadableImageError)):
            READERS[reader](path)
    path = png(tmp_path / "x.png", *[TEXTS["packed text"](MIB)] * 65)
    with pytest.raises((UnreadableImageError, predict_images.UnreadableImageError)):
        READERS[reader](path)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("limit", [1000, 32 * MIB])
def test_a_limit_that_somebody_set_stays(
    limit: int, reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_CHUNK", limit)
    READERS[reader](png(tmp_path / "x.png"))
    assert limit == PngImagePlugin.MAX_TEXT_CHUNK
