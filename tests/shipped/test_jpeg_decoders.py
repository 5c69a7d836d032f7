"""Decoders of other packages: smaller images, hostile files, packages that are missing."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterator
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from src.run.pipeline import DECODERS, REFERENCE, Decoder
from src.shipped import decoder_names, exam_checks, jpeg_decoders, predict, predict_images
from src.shipped.decoder_names import PACKAGES, SCALING
from src.shipped.predict_images import UnreadableImageError, read_image
from tests.support import damaged_images, photos

WIDTH, HEIGHT = 333, 221
# The scaled decoding of every libjpeg-turbo is the same arithmetic.
MOST_LEVELS_OFF = 1


@pytest.fixture(params=list(PACKAGES))
def decoder(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(PACKAGES[request.param][0])
    name: str = request.param
    return name


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    photo = Image.fromarray(photos.pixels(HEIGHT, WIDTH)).convert(mode)
    photo.save(file, "JPEG", **{"quality": 90, **options})
    return file.getvalue()


def turned(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


JPEGS = {
    "colour": jpeg(),
    "grey": jpeg("L"),
    "cmyk": jpeg("CMYK"),
    "progressive": jpeg(progressive=True),
    "whole chroma": jpeg(subsampling=0),
    "turned": jpeg(exif=turned(6)),
    "with restarts": jpeg(restart_marker_rows=1),
    "with bytes behind its end": jpeg() + b"trailer of a telephone",
}


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("at_least", [None, 110, 27])
def test_a_decoder_gives_the_pixels_of_pillow_at_every_scale(
    decoder: str, kind: str, at_least: int | None
) -> None:
    content = JPEGS[kind]
    given = read_image(io.BytesIO(content), at_least=at_least, decoder=decoder)
    # A file that is left to Pillow is decoded as the reference does.
    is_scaled = decoder in SCALING and kind != "cmyk"
    expected = read_image(io.BytesIO(content), at_least=at_least if is_scaled else None)
    assert given.size == expected.size
    difference = np.abs(np.asarray(given).astype(int) - np.asarray(expected))
    assert difference.max() <= MOST_LEVELS_OFF


def has_end(content: bytes) -> bool:
    seen: list[bool] = []

    def decode(content: bytes, wanted: jpeg_decoders.Wanted) -> None:
        seen.append(jpeg_decoders.has_end(content, wanted))

    with pytest.MonkeyPatch.context() as patch, Image.open(io.BytesIO(content)) as file:
        patch.setattr(jpeg_decoders, "load", lambda _: decode)
        assert jpeg_decoders.decoded("any", file, None) is None
    (answer,) = seen
    return answer


@pytest.mark.parametrize("kind", sorted(set(JPEGS) - {"cmyk"}))
def test_the_end_of_a_jpeg_is_found_behind_its_pixels(kind: str) -> None:
    content = JPEGS[kind]
    end = content.rindex(b"\xff\xd9")
    whole = content[: end + 2]
    assert has_end(content)
    assert has_end(whole + jpeg())
    assert not has_end(whole[:-2])
    assert not has_end(whole[:-1])
    assert not has_end(whole[:-2] + bytes(10))
    assert not has_end(whole[:-90] + b"\xff\x07" + whole[-88:])  # no marker that there is
    tables = has_end(whole[:-2] + b"\xff\xc4\x00\x02" + whole[-2:])  # between two scans only
    assert tables == (kind == "progressive")


def test_a_preview_in_the_metadata_is_not_the_end() -> None:
    preview = io.BytesIO()
    Image.new("RGB", (16, 16)).save(preview, "JPEG")
    exif = Image.Exif()
    exif[0x9286] = preview.getvalue()  # a comment
    content = jpeg(exif=exif)
    assert content.count(b"\xff\xd9") == 2
    assert has_end(content)
    assert not has_end(content[:-2])


def outcome(content: bytes, decoder: str) -> np.ndarray[Any, Any] | None:
    """Return the pixels of a file as a program would decode it; None if it refuses the file."""
    try:
        at_least = 100 if decoder in SCALING else None
        return np.asarray(read_image(io.BytesIO(content), at_least=at_least, decoder=decoder))
    except UnreadableImageError:
        return None


def damaged() -> Iterator[bytes]:
    """Files that are cut off, and files with bytes that were changed."""
    random = np.random.default_rng(0)
    for kind in ("colour", "progressive", "grey"):
        content = JPEGS[kind]
        for cut in (1, 2, 3, 10, 200, len(content) // 2, len(content) - 300, len(content) - 20):
            yield content[:-cut]
            yield content[:-cut] + b"\xff\xd9"
        for _ in range(12):
            changed = bytearray(content)
            for position in random.integers(2, len(changed) - 2, 3):
                changed[position] = random.integers(256)
            yield bytes(changed)


def test_damaged_jpegs_fail_alike_with_every_decoder(decoder: str) -> None:
    plain = "pillow_draft" if decoder in SCALING else "pillow"
    refused = 0
    for number, content in enumerate(damaged()):
        expected, whole = outcome(content, plain), outcome(content, "pillow")
        given = outcome(content, decoder)
        refused += given is None
        assert (given is None) == (whole is None), number
        if given is None or whole is None or expected is None:
            continue
        # Either as libjpeg repairs it at that scale, or as Pillow alone decodes it.
        candidates = [other for other in (expected, whole) if other.shape == given.shape]
        off = [np.abs(given.astype(int) - other).max() for other in candidates]
        assert min(off) <= MOST_LEVELS_OFF, number
    assert 20 <= refused <= 60


@pytest.mark.parametrize("content", damaged_images.UNREADABLE, ids=lambda content: content.__name__)
def test_hostile_files_are_refused_with_every_decoder(
    content: Callable[[], bytes], decoder: str
) -> None:
    file = io.BytesIO(content())
    with pytest.raises(UnreadableImageError) as plain:
        read_image(file)
    file.seek(0)
    with pytest.raises(UnreadableImageError) as caught:
        read_image(file, at_least=100, decoder=decoder)
    assert str(caught.value) == str(plain.value)


@pytest.mark.parametrize("content", damaged_images.READABLE, ids=lambda content: content.__name__)
def test_files_with_damaged_metadata_are_read_with_every_decoder(
    content: Callable[[], bytes], decoder: str
) -> None:
    given = read_image(io.BytesIO(content()), decoder=decoder)
    assert given.size == damaged_images.READABLE[content]


def with_size(content: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose header promises another size."""
    start = content.index(b"\xff\xc0") + 5
    return (
        content[:start]
        + height.to_bytes(2, "big")
        + width.to_bytes(2, "big")
        + content[start + 4 :]
    )


def test_a_bomb_is_refused_before_any_decoder_sees_it(
    decoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg_decoders, "decoded", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(UnreadableImageError, match="3600000000 pixels"):
        read_image(io.BytesIO(with_size(jpeg(), 60_000, 60_000)), at_least=100, decoder=decoder)
    with pytest.raises(UnreadableImageError, match="333x221 pixels, more than 1000"):
        read_image(io.BytesIO(jpeg()), most_pixels=1000, decoder=decoder)


def test_a_file_of_two_headers_is_left_to_pillow(decoder: str) -> None:
    # Pillow takes the last size that a header promises, libjpeg refuses a second one.
    content = jpeg()
    start = content.index(b"\xff\xc0")
    length = int.from_bytes(content[start + 2 : start + 4], "big") + 2
    header = with_size(content, 60_000, 60_000)[start : start + length]
    hostile = content[:start] + header + content[start:]
    with Image.open(io.BytesIO(hostile)) as file:
        assert file.size == (WIDTH, HEIGHT)
        assert jpeg_decoders.decoded(decoder, file, None) is None
    assert outcome(hostile, decoder) is None


def test_a_large_file_is_not_read_as_a_whole(decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_decoders, "MOST_BYTES", 1000)
    with Image.open(io.BytesIO(jpeg())) as file:
        assert jpeg_decoders.decoded(decoder, file, None) is None
    assert read_image(io.BytesIO(jpeg()), decoder=decoder).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_named_with_its_remedy(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(module: str) -> Any:
        raise ModuleNotFoundError(f"No module named {module!r}")

    jpeg_decoders.load.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(importlib, "import_module", fail)
        with pytest.raises(jpeg_decoders.MissingDecoderError) as caught:
            read_image(io.BytesIO(jpeg()), decoder=name)
        with pytest.raises(predict.UnusableModelError, match=f"the decoder {name} cannot be used"):
            predict.require_decoder(name)
    assert str(caught.value).startswith("No module named")
    assert str(caught.value).endswith(f"; pip install {PACKAGES[name][1]}")


def test_every_list_of_decoders_is_the_same() -> None:
    assert decoder_names.DECODERS == DECODERS == get_args(Decoder) == exam_checks.DECODERS
    assert decoder_names.PLAIN == REFERENCE
    assert set(PACKAGES) == set(DECODERS) - {decoder_names.PLAIN, decoder_names.DRAFT}


def test_a_program_without_another_decoder_imports_none() -> None:
    assert predict_images.read_image(io.BytesIO(jpeg())).size == (WIDTH, HEIGHT)
    with pytest.raises(KeyError):
        jpeg_decoders.load("another")
