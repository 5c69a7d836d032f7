from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from src.data.datasets.image_folder import ImageFolder
from src.data.pipeline.image_file import read_image
from src.errors import UsageError

MODES = {"RGB": ".jpg", "L": ".png", "RGBA": ".png", "CMYK": ".jpg", "P": ".gif", "I;16": ".png"}


def fill(folder: Path, count: int, seed: int = 0) -> None:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    for number in range(count):
        pixels = generator.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


def module(root: Path, **options: object) -> ImageFolder:
    return ImageFolder(str(root), image_size=16, num_workers=0, **options)


def test_one_folder_is_split_by_seed(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name, 20)
    data = module(tmp_path)
    data.prepare_data()
    assert data.class_names == ["cat", "dog"]
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [28, 4, 8]
    assert data.dataset("train", augment=True)[0][0].shape == (3, 16, 16)
    indices = np.concatenate([data.dataset(split).indices for split in ("train", "val", "test")])
    assert sorted(indices) == list(range(40))


def test_folders_of_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    for split, count in {"train": 6, "val": 2, "test": 3}.items():
        for name in ("cat", "dog"):
            fill(tmp_path / split / name, count)
    data = module(tmp_path)
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [12, 4, 6]


def test_a_split_without_a_folder_is_drawn_from_training(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / "train" / name, 20)
        fill(tmp_path / "test" / name, 5)
    data = module(tmp_path)
    assert [len(data.dataset(split)) for split in ("train", "val", "test")] == [36, 4, 10]


@pytest.mark.parametrize("mode", MODES)
def test_any_kind_of_image_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / f"image{MODES[mode]}"
    if mode == "I;16":
        Image.fromarray(np.full((8, 8), 300, dtype=np.uint16)).save(path)
    else:
        Image.new("RGB", (8, 8), (200, 100, 50)).convert(mode).save(path)
    assert read_image(path).mode == "RGB"


def test_an_image_is_turned_upright(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees to see it upright
    Image.new("RGB", (30, 10)).save(path, exif=exif)
    assert read_image(path).size == (10, 30)


def broken_image(root: Path) -> str:
    fill(root / "cat", 10)
    fill(root / "dog", 10)
    (root / "dog" / "3.png").write_bytes((root / "dog" / "3.png").read_bytes()[:100])
    return "dog/3.png: expected an image that Pillow can decode"


def not_an_image(root: Path) -> str:
    broken_image(root)
    (root / "dog" / "3.png").write_text("hello")
    return "dog/3.png: expected an image that Pillow can decode"


def empty_class(root: Path) -> str:
    fill(root / "cat", 10)
    (root / "dog").mkdir()
    return f"none in {root / 'dog'}"


def one_class(root: Path) -> str:
    fill(root / "cat", 10)
    return "expected at least 2 classes; found 1: cat"


def too_few(root: Path) -> str:
    fill(root / "cat", 10)
    fill(root / "dog", 1)
    return "expected enough images of every class to split them"


def another_class(root: Path) -> str:
    for split, name in (("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "cow")):
        fill(root / split / name, 5)
    return "expected the class folders cat, dog in"


@pytest.mark.parametrize(
    "damage", [broken_image, not_an_image, empty_class, one_class, too_few, another_class]
)
def test_what_is_wrong_is_named_in_one_line_before_training(tmp_path: Path, damage: object) -> None:
    message = damage(tmp_path)
    with pytest.raises(UsageError) as caught:
        module(tmp_path).prepare_data()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"data.root: .*missing \(No such file"):
        module(tmp_path / "missing").class_names  # noqa: B018  # it is what raises
