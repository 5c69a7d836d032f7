"""Image files of validation and test that are in training too, by links and copies."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from src.data.datasets.image_folder import ImageFolder
from src.data.pipeline import leaks
from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.leaks import leak_notes
from src.data.pipeline.split import Parts
from tests.data.datasets.test_image_folder import fill

END = "is too high; python -m src.data lists all"


def notes(root: Path) -> list[str]:
    parts = ImageFolder(str(root), image_size=16, num_workers=0).load()
    return [note.replace(f"{root}/", "") for note in leak_notes(parts)]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with 12 images to train on and 6 to test on, all different."""
    for seed, name in enumerate(("cat", "dog")):
        fill(tmp_path / "train" / name, 6, seed)
        fill(tmp_path / "test" / name, 3, 10 + seed)
    return tmp_path


def test_different_images_have_no_line(photos: Path) -> None:
    assert notes(photos) == []
    fill(photos / "val" / "cat", 3, 20)
    assert notes(photos) == []


def test_no_file_is_read_where_the_user_has_refused_it(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photos / "train", photos / "val")
    parts = ImageFolder(str(photos), image_size=16, num_workers=0).load()
    assert leak_notes(parts)
    monkeypatch.setattr(leaks, "_hash", pytest.fail)
    monkeypatch.setattr(leaks, "_size", pytest.fail)
    assert leak_notes(parts, reads=False) == []


def test_a_folder_that_is_a_link_to_training_is_told(photos: Path) -> None:
    (photos / "val").symlink_to("train")
    assert notes(photos) == [
        f"12 of 12 images of val are in train too, such as val/cat/0.png and train/cat/0.png: "
        f"accuracy in val {END}"
    ]


@pytest.mark.parametrize("copied", [shutil.copy, os.link, os.symlink], ids=lambda way: way.__name__)
def test_files_that_are_copies_or_links_are_told(copied: object, photos: Path) -> None:
    fill(photos / "val" / "cat", 3, 20)
    assert callable(copied)
    copied(photos / "train" / "dog" / "4.png", photos / "val" / "cat" / "a copy.png")
    copied(photos / "train" / "cat" / "1.png", photos / "test" / "cat" / "1 (2).png")
    assert notes(photos) == [
        f"1 of 4 images of val are in train too, such as val/cat/a copy.png and train/dog/4.png: "
        f"accuracy in val {END}",
        f"1 of 7 images of test are in train too, such as test/cat/1 (2).png and train/cat/1.png: "
        f"accuracy in test {END}",
    ]


def test_copies_among_images_that_are_split_by_seed_are_told(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        fill(tmp_path / name, 20)  # the same images in both
    assert [note.partition(", ")[0].partition(" of ")[2] for note in notes(tmp_path)][:2] == [
        "4 images of val are in train too",
        "8 images of test are in train too",
    ]


def test_linked_folders_of_many_images_are_told_without_reading_a_file(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "val").mkdir()
    (photos / "val" / "cat").symlink_to("../train/cat")
    fill(photos / "val" / "dog", 3, 20)
    shutil.copy(photos / "train" / "dog" / "4.png", photos / "val" / "dog" / "9.png")
    monkeypatch.setattr(leaks, "FEW", 10)
    monkeypatch.setattr(leaks, "_hash", None)
    monkeypatch.setattr(leaks, "_size", None)
    assert notes(photos) == [
        f"6 of 10 images of val are in train too, such as val/cat/0.png and train/cat/0.png: "
        f"accuracy in val {END}"
    ]


def test_a_file_that_cannot_be_read_is_left_to_those_who_use_it(tmp_path: Path) -> None:
    fill(tmp_path / "a", 1)
    path = str(tmp_path / "a" / "0.png")
    missing = [str(tmp_path / name) for name in ("gone", "gone too")]
    splits = {"train": [path, missing[0]], "val": [missing[1], path], "test": []}
    parts: Parts[ImageFiles] = {
        split: (ImageFiles(paths, [0] * len(paths)), np.arange(len(paths)))  # type: ignore[misc]
        for split, paths in splits.items()
    }
    assert leak_notes(parts) == []  # a path in two splits is told by the data set that lists it
