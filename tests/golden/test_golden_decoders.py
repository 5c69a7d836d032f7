"""Decoders of other packages are held to the golden pixels, within one of 255 levels."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from src.shipped import jpeg_decoders, predict_images
from src.shipped.decoder_names import PACKAGES, SCALING
from tests.golden.pixels import GOLDEN, IDS

MOST_LEVELS_OFF = 1  # docs/measuring.md#decoders
OF_PILLOW = {"cmyk.jpg"}  # the JPEG that every decoder leaves to Pillow


@pytest.fixture(params=list(PACKAGES))
def decoder(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(PACKAGES[request.param][0])
    name: str = request.param
    return name


@pytest.fixture
def own(decoder: str, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Files that the decoder itself has decoded, in their order."""
    decode, files = jpeg_decoders.load(decoder), []

    def watched(content: bytes, wanted: jpeg_decoders.Wanted) -> NDArray[np.uint8] | None:
        pixels = decode(content, wanted)
        if pixels is not None:
            files.append(content)
        return pixels

    monkeypatch.setattr(jpeg_decoders, "load", lambda _: watched)
    return files


def off(image: Image.Image, expected: NDArray[np.uint8]) -> int:
    """Return by how many levels an image differs from the expected one."""
    pixels = np.asarray(image)
    assert pixels.shape == expected.shape
    return int(np.abs(pixels.astype(int) - expected).max())


def test_a_decoder_reads_the_golden_rgb_within_a_level(decoder: str, own: list[bytes]) -> None:
    jpegs = {name for name in GOLDEN.names if name.endswith(".jpg")} - OF_PILLOW
    for name in GOLDEN.names:
        image = predict_images.read_image(io.BytesIO(GOLDEN.file(name)), decoder=decoder)
        assert image.mode == "RGB"
        assert off(image, GOLDEN.rgb(name)) <= (MOST_LEVELS_OFF if name in jpegs else 0), name
    assert own == [GOLDEN.file(name) for name in GOLDEN.names if name in jpegs]
    assert len(jpegs) >= 12


@pytest.mark.parametrize("number", range(len(GOLDEN.rules)), ids=IDS)
def test_a_decoder_leads_to_the_golden_input_within_a_level(decoder: str, number: int) -> None:
    rule = GOLDEN.rules[number]
    for name in GOLDEN.comparable(number):
        at_least = predict_images.least_side(decoder, rule)
        file = io.BytesIO(GOLDEN.file(name))
        image = predict_images.read_image(file, at_least=at_least, decoder=decoder)
        resized = predict_images.resize(image, rule)
        assert off(resized, GOLDEN.levels(number, name)) <= MOST_LEVELS_OFF, name


def test_a_smaller_decoding_keeps_the_colours_of_flat_blocks(
    decoder: str, own: list[bytes]
) -> None:
    blocks = [name for name in GOLDEN.names if name.endswith(".jpg") and name not in OF_PILLOW]
    for name in blocks:
        for at_least, wanted in ((8, 2), (4, 4), (2, 8), (9, 1)):
            scale = wanted if decoder in SCALING else 1
            file = io.BytesIO(GOLDEN.file(name))
            image = predict_images.read_image(file, at_least=at_least, decoder=decoder)
            assert off(image, GOLDEN.rgb(name)[::scale, ::scale]) <= MOST_LEVELS_OFF, name
    assert len(own) == 4 * len(blocks)


@pytest.mark.parametrize("name", GOLDEN.refused)
def test_a_decoder_refuses_what_has_no_known_range(decoder: str, name: str) -> None:
    with pytest.raises(predict_images.UnreadableImageError):
        predict_images.read_image(io.BytesIO(GOLDEN.refused[name]), decoder=decoder)


def test_decoders_that_scale_are_told_the_least_side() -> None:
    rule = GOLDEN.rules[2]
    sides: dict[str, Callable[[], int | None]] = {
        name: lambda name=name: predict_images.least_side(name, rule)  # type: ignore[misc]
        for name in ("pillow", "pillow_draft", *PACKAGES)
    }
    assert {name for name, side in sides.items() if side() is not None} == SCALING
