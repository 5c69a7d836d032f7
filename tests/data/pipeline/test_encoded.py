"""Image files as bytes, and the inputs that a deployed program makes of them."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from src.data.datasets.digits import DigitImages
from src.data.pipeline import encoded
from src.data.pipeline.image_file import UnreadableImageError
from src.data.pipeline.image_files import ImageFiles
from src.data.preprocessing import Preprocessing
from src.run.facts import PreprocessingFacts
from src.shipped import predict_images
from src.shipped.decoder_names import PACKAGES
from tests.support import damaged_images, photos

RULE = Preprocessing(32, "crop").facts()


def split_of(folder: Path, sides: list[tuple[int, int]], ending: str = "jpg") -> Any:
    """Return the split of all images of these widths and heights."""
    paths = []
    for number, (width, height) in enumerate(sides):
        path = folder / f"{number}.{ending}"
        Image.fromarray(photos.pixels(height, width, number)).save(path)
        paths.append(str(path))
    images = ImageFiles(paths, [0] * len(paths))
    return SimpleNamespace(images=images, indices=np.arange(len(paths)))


def test_a_sample_has_the_bytes_of_files_spread_over_the_split(tmp_path: Path) -> None:
    split = split_of(tmp_path, [(80 + number, 60) for number in range(9)])
    sample = encoded.sample("test", split, 3, RULE)
    spread = [Path(split.images.paths[at]).read_bytes() for at in (0, 4, 8)]
    assert sorted(sample.contents) == sorted(spread)
    facts = sample.facts
    assert (facts.images, facts.are_files, facts.kinds) == (3, True, {"JPEG": 3})
    assert (facts.width_p50, facts.height_p50, facts.split) == (84, 60, "test")
    assert facts.bytes_p50 == sorted(map(len, sample.contents))[1]
    assert len(encoded.sample("test", split, 64, RULE).contents) == 9


def test_a_sample_is_bounded_in_bytes_and_never_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = split_of(tmp_path, [(80, 60)] * 5)
    size = Path(split.images.paths[0]).stat().st_size
    assert encoded.sample("test", split, 5, RULE).facts.limited_to_bytes is None
    monkeypatch.setattr(encoded, "MOST_BYTES", 3 * size)
    cut = encoded.sample("test", split, 5, RULE)
    assert 1 <= len(cut.contents) < 5
    assert cut.facts.limited_to_bytes == 3 * size
    assert encoded.facts_of(cut, [0]).limited_to_bytes == 3 * size  # of those that were timed
    # The number that was asked for ends it.
    assert encoded.sample("test", split, 1, RULE).facts.limited_to_bytes is None
    monkeypatch.setattr(encoded, "MOST_BYTES", 1)
    assert len(encoded.sample("test", split, 5, RULE).contents) == 1


def test_images_without_files_are_encoded_without_loss() -> None:
    split: Any = SimpleNamespace(images=DigitImages(), indices=np.arange(20, 30))
    sample = encoded.sample("test", split, 4, RULE)
    assert (sample.facts.are_files, sample.facts.kinds) == (False, {"PNG": 4})
    decoded = {
        predict_images.read_image(io.BytesIO(content)).tobytes() for content in sample.contents
    }
    assert decoded == {split.images.image(index).tobytes() for index in (20, 23, 26, 29)}


def test_a_part_of_a_sample_is_spread_over_the_split_too() -> None:
    split: Any = SimpleNamespace(images=DigitImages(), indices=np.arange(1000))
    sample = encoded.sample("test", split, 64, RULE)
    index_of = {split.images.image(index).tobytes(): index for index in range(1000)}
    first = [
        index_of[predict_images.read_image(io.BytesIO(content)).tobytes()]
        for content in sample.contents
    ][:16]
    assert min(first) < 250
    assert max(first) >= 750
    assert not encoded.applies("pillow_draft", sample)


def test_facts_of_an_early_version_get_the_values_that_they_stand_for() -> None:
    early = PreprocessingFacts(image_size=32, resize="crop", mean=[0.5] * 3, std=[0.5] * 3)
    assert encoded.rule_of(early) | {"mean": 0, "std": 0} == encoded.rule_of(RULE) | {
        "mean": 0,
        "std": 0,
    }


@pytest.mark.parametrize("content", damaged_images.UNREADABLE, ids=lambda content: content.__name__)
def test_a_damaged_file_is_named(content: Any, tmp_path: Path) -> None:
    split = split_of(tmp_path, [(80, 60)] * 2)
    Path(split.images.paths[1]).write_bytes(content())
    with pytest.raises(UnreadableImageError, match=r"1\.jpg"):
        encoded.sample("test", split, 2, RULE)
    Path(split.images.paths[1]).unlink()
    with pytest.raises(UnreadableImageError, match=r"1\.jpg"):
        encoded.sample("test", split, 2, RULE)


def test_only_files_that_a_decoder_makes_smaller_are_decoded_again(tmp_path: Path) -> None:
    # 32 / 0.875 is 37 pixels: sides of 74 and more are halved.
    split = split_of(tmp_path, [(80, 60), (100, 80), (74, 300), (73, 300)])
    inputs = encoded.decoded_by("pillow_draft", split, [3, 1, 0, 2], RULE)
    assert [pixels is not None for pixels in inputs] == [False, True, False, True]
    rule = encoded.rule_of(RULE)
    for pixels, position in zip([inputs[1], inputs[3]], (1, 2), strict=True):
        assert pixels is not None
        path = split.images.paths[position]
        drafted = predict_images.preprocess(predict_images.read_image(path, at_least=37), rule)
        assert np.array_equal(pixels, drafted)
        reference = predict_images.preprocess(predict_images.read_image(path), rule)
        assert not np.array_equal(pixels, reference)
        # In levels of 255: another image would be off by tens.
        assert np.abs(pixels - reference).mean() * 255 * np.mean(RULE.std) < 6
    assert encoded.decoded_by("pillow", split, [0, 1], RULE) == [None, None]
    sample = encoded.sample("test", split, 4, RULE)
    assert encoded.applies("pillow_draft", sample)
    assert not encoded.applies("pillow", sample)


@pytest.mark.parametrize("decoder", PACKAGES)
def test_other_packages_decode_every_jpeg_and_nothing_else(decoder: Any, tmp_path: Path) -> None:
    pytest.importorskip(PACKAGES[decoder][0])
    (tmp_path / "png").mkdir()
    small, png = split_of(tmp_path, [(40, 30)]), split_of(tmp_path / "png", [(400, 300)], "png")
    assert encoded.applies(decoder, encoded.sample("test", small, 1, RULE))
    (pixels,) = encoded.decoded_by(decoder, small, [0], RULE)
    rule = encoded.rule_of(RULE)
    reference = predict_images.preprocess(predict_images.read_image(small.images.paths[0]), rule)
    assert pixels is not None
    assert np.abs(pixels - reference).max() * 255 * max(RULE.std) <= 1.01
    assert not encoded.applies(decoder, encoded.sample("test", png, 1, RULE))
    assert encoded.decoded_by(decoder, png, [0], RULE) == [None]


def test_no_decoder_makes_a_png_smaller(tmp_path: Path) -> None:
    split = split_of(tmp_path, [(400, 300)], "png")
    assert not encoded.applies("pillow_draft", encoded.sample("test", split, 1, RULE))
    assert encoded.decoded_by("pillow_draft", split, [0], RULE) == [None]
