"""The hash of a set of images: it depends on files and labels, not on the preprocessing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from src.data.datasets.csv_file import CSVFile
from src.data.datasets.digits import Digits
from src.data.datasets.image_folder import ImageFolder
from src.data.pipeline.image_file import UnreadableImageError
from tests.data.datasets.test_image_folder import fill

CLASSES = ("cat", "dog")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for split, count in (("train", 4), ("val", 2), ("test", 3)):
        for seed, name in enumerate(CLASSES):
            fill(tmp_path / "photos" / split / name, count, seed + len(split))
    return tmp_path / "photos"


def of_folder(root: Path, **options: object) -> str:
    return ImageFolder(str(root), num_workers=0, **options).sha256("test")  # type: ignore[arg-type]


def of_csv(root: Path, change: Callable[[list[str]], list[str]] = lambda lines: lines) -> str:
    lines = [
        f"{path.relative_to(root)},{path.parent.name},{path.parent.parent.name}"
        for path in sorted(root.rglob("*.png"))
    ]
    file = root.parent / "images.csv"
    file.write_text("\n".join(["path,label,split", *change(lines)]) + "\n")
    return CSVFile(str(file), root=str(root), num_workers=0).sha256("test")


def test_the_hash_does_not_depend_on_the_preprocessing(photos: Path) -> None:
    plain = of_folder(photos)
    assert len(plain) == 64
    assert of_folder(photos, image_size=32, resize="squash", mean=(0.1, 0.2, 0.3)) == plain
    assert of_folder(photos, interpolation="bicubic", batch_size=2, augment="none") == plain
    small, large = (Digits(image_size=size).sha256("test") for size in (8, 64))
    assert small == large != plain


def test_the_hash_is_the_same_for_moved_or_listed_images(photos: Path) -> None:
    plain = of_folder(photos)
    for path in photos.rglob("*.png"):
        os.utime(path, (1, 1))
    assert of_csv(photos) == plain
    assert of_folder(Path(shutil.copytree(photos, photos.parent / "moved"))) == plain


def test_the_hash_differs_between_splits_and_split_seeds(photos: Path) -> None:
    data = ImageFolder(str(photos), num_workers=0)
    assert len({data.sha256(split) for split in ("train", "val", "test")}) == 3
    assert Digits(split_seed=1).sha256("test") != Digits().sha256("test")


def one_pixel(root: Path) -> None:
    path = root / "test" / "cat" / "0.png"
    image = Image.open(path).convert("RGB")
    image.putpixel((0, 0), (1, 2, 3))
    image.save(path)


def one_less(root: Path) -> None:
    (root / "test" / "dog" / "2.png").unlink()


def one_more(root: Path) -> None:
    shutil.copy(root / "train" / "dog" / "0.png", root / "test" / "dog" / "9.png")


def exchanged(root: Path) -> None:
    cat, dog = (root / "test" / name / "0.png" for name in CLASSES)
    content = cat.read_bytes()
    cat.write_bytes(dog.read_bytes())
    dog.write_bytes(content)


def other_class(root: Path) -> None:
    for split in ("train", "val", "test"):
        (root / split / "dog").rename(root / split / "eel")


@pytest.mark.parametrize("change", [one_pixel, one_less, one_more, exchanged, other_class])
def test_the_hash_changes_with_any_change_on_disk(
    photos: Path, change: Callable[[Path], None]
) -> None:
    before = of_folder(photos)
    change(photos)
    assert of_folder(photos) != before


def test_the_hash_changes_with_labels_and_order(photos: Path) -> None:
    def relabelled(lines: list[str]) -> list[str]:
        at = next(index for index, line in enumerate(lines) if line.endswith(",cat,test"))
        return [*lines[:at], lines[at].replace(",cat,", ",dog,"), *lines[at + 1 :]]

    assert (
        len({of_csv(photos), of_csv(photos, relabelled), of_csv(photos, lambda lines: lines[::-1])})
        == 3
    )


def test_the_hash_does_not_depend_on_images_outside_of_the_split(photos: Path) -> None:
    before = of_folder(photos)
    (photos / "train" / "cat" / "0.png").unlink()
    (photos / "test" / "notes.txt").write_text("of no interest")
    assert of_folder(photos) == before


def test_hashing_names_a_file_that_is_gone(photos: Path) -> None:
    data = ImageFolder(str(photos), num_workers=0)
    data.sha256("test")
    (photos / "test" / "cat" / "1.png").unlink()
    with pytest.raises(UnreadableImageError, match=r"cat/1\.png.*No such file"):
        data.sha256("test")
