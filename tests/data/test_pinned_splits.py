"""The splits of a training are those of every later command, whatever happens to its folder."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from src.cli import run_splits
from src.cli.commands.data import check
from src.cli.rollback import remove_untrained
from src.data.dataset_module import DatasetModule
from src.data.datasets.csv_file import CSVFile
from src.data.datasets.digits import Digits
from src.data.datasets.image_folder import ImageFolder
from src.data.image_names import ImageNames
from src.data.images import ImageDataModule
from src.data.pipeline.split import SPLITS
from src.data.restore import data_of
from src.errors import LightshipError, UsageError
from src.run import folder as runs
from src.run import split_record
from src.run.folder import Run

OPTIONS: dict[str, Any] = {"image_size": 16, "num_workers": 0}


def save(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def fill(folder: Path, count: int = 20) -> None:
    for number in range(count):
        save(folder / f"{number:02}.png", number)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        fill(tmp_path / "photos" / name)
    return tmp_path / "photos"


def begun(kind: type[DatasetModule], tmp_path: Path, **options: Any) -> Run:
    """Return a run with a configuration and, where it is written, the record of the splits."""
    run = runs.create(tmp_path / "logs", "resnet34")
    options = {**OPTIONS, **options}
    data = {"class_path": f"{kind.__module__}.{kind.__name__}", "init_args": options}
    run.config.write_text(yaml.safe_dump({"data": data}))
    run_splits.store(kind(**options), run)
    return run


def of_folder(photos: Path, **options: Any) -> Run:
    return begun(ImageFolder, photos.parent, root=str(photos), **options)


def listed(photos: Path, split: str = "", pattern: str = "*/*.png") -> Path:
    """Write a CSV file of the folder's images."""
    path = photos.parent / "images.csv"
    images = sorted(photos.glob(pattern))
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", *(["split"] if split else [])])
        for image in images:
            name = f"photos/{image.relative_to(photos)}"
            label = image.relative_to(photos).parts[0]
            rows.writerow([name, label, *([split] if split else [])])
    return path


def names(data: ImageDataModule) -> dict[str, list[str]]:
    """Return the last two parts of the images' paths in each split, in their order."""
    parts = data.load()
    return {
        split: ["/".join(Path(images.name(index)).parts[-2:]) for index in indices.tolist()]
        for split in SPLITS
        for images, indices in [parts[split]]
    }


def test_an_unchanged_folder_has_no_note(photos: Path) -> None:
    run = of_folder(photos)
    data = data_of(run)
    assert names(data) == names(ImageFolder(str(photos), **OPTIONS))
    assert data.notes == []


def test_the_recorded_images_are_found_once(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = of_folder(photos)
    save(photos / "cat" / "!new.png")
    data = data_of(run)
    before = names(data)
    notes = data.notes
    assert len(notes) == 1
    data.load().clear()  # the caller may change its splits
    monkeypatch.setattr(ImageNames, "of", None)
    data.prepare_data()
    assert data.count("test") == len(before["test"])
    assert names(data) == before
    assert data.notes == notes


def test_images_that_were_added_are_left_out_of_every_split(photos: Path) -> None:
    run = of_folder(photos)
    before = names(data_of(run))
    for number in range(7):
        save(photos / "cat" / f"!{number}.png")  # these are the first of the class now
    fresh = names(ImageFolder(str(photos), **OPTIONS))
    assert set(fresh["test"]) & set(before["train"])  # without the record
    data = data_of(run)
    assert names(data) == before
    assert data.notes == [
        "the splits are those of the training: 7 newer images are left out (7 in cat)"
    ]
    labels = data.dataset("test").targets.tolist()
    assert [data.class_names[label] for label in labels] == [
        name.split("/")[0] for name in before["test"]
    ]


def test_missing_images_are_counted_and_the_others_keep_their_split(photos: Path) -> None:
    run = of_folder(photos)
    before = names(data_of(run))
    gone = before["train"][0]
    (photos / gone).unlink()
    data = data_of(run)
    assert names(data) == {**before, "train": before["train"][1:]}
    assert data.notes == [f"the splits are those of the training: 1 images are missing ({gone})"]


def test_an_image_that_moved_from_training_to_the_test_folder_is_not_tested(photos: Path) -> None:
    root = photos.parent / "splits"
    for split in SPLITS:
        shutil.copytree(photos, root / split)
    run = of_folder(root)
    (root / "train" / "cat" / "00.png").rename(root / "test" / "cat" / "late.png")
    data = data_of(run)
    assert "cat/late.png" not in names(data)["test"]
    assert "1 newer images are left out (test/cat/late.png)" in data.notes[0]
    assert "1 images are missing (train/cat/00.png)" in data.notes[0]


def test_a_split_folder_that_was_added_does_not_replace_the_drawn_split(photos: Path) -> None:
    root = photos.parent / "splits"
    shutil.copytree(photos, root / "train")
    run = of_folder(root)
    before = names(data_of(run))
    shutil.copytree(photos, root / "val")
    assert names(data_of(run)) == before


def test_a_moved_folder_keeps_its_splits(photos: Path) -> None:
    run = of_folder(photos)
    before = names(data_of(run))
    moved = photos.rename(photos.with_name("moved"))
    save(moved / "cat" / "new.png")
    run.config.write_text(run.config.read_text().replace(str(photos), str(moved)))
    assert names(data_of(run)) == before


def test_a_folder_that_was_moved_can_be_named(photos: Path) -> None:
    run = of_folder(photos)
    before = names(data_of(run))
    moved = photos.rename(photos.with_name("moved"))
    save(moved / "cat" / "new.png")
    with pytest.raises(UsageError, match=r"set data\.root=PATH"):
        data_of(run).load()
    assert names(data_of(replace(run, data_paths={"root": str(moved)}))) == before


def test_a_csv_file_that_was_moved_can_be_named(photos: Path) -> None:
    run = begun(CSVFile, photos.parent, file=str(listed(photos)))
    before = names(data_of(run))
    (moved := photos.parent / "moved").mkdir()
    for path in (photos, photos.parent / "images.csv"):
        path.rename(moved / path.name)
    run = replace(run, data_paths={"file": str(moved / "images.csv")})
    assert names(data_of(run)) == before


def test_a_place_that_the_data_set_does_not_have_is_refused(photos: Path) -> None:
    run = replace(of_folder(photos), data_paths={"file": "images.csv"})
    with pytest.raises(UsageError, match=r"data\.file: expected an option of ImageFolder"):
        data_of(run)


def test_the_look_at_the_data_takes_the_place_of_a_data_set_that_was_moved(
    photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = of_folder(photos)
    moved = photos.rename(photos.with_name("moved"))
    sheet = f"sheet={photos.parent / 'sheet.png'}"
    with pytest.raises(LightshipError, match="more than one split"):  # both classes are alike
        check([str(run.folder), f"data.root={moved}", sheet])
    assert "40 images in 2 classes" in capsys.readouterr().out


def add_class(photos: Path) -> None:
    fill(photos / "bird", 3)


def rename_class(photos: Path) -> None:
    (photos / "cat").rename(photos / "kitten")


def remove_class(photos: Path) -> None:
    fill(photos / "bird", 3)
    shutil.rmtree(photos / "cat")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (add_class, "bird in addition"),
        (rename_class, "kitten in addition and no cat"),
        (remove_class, "bird in addition and no cat"),
    ],
)
def test_other_classes_are_refused(
    photos: Path, change: Callable[[Path], None], found: str
) -> None:
    run = of_folder(photos)
    change(photos)
    with pytest.raises(UsageError, match=f"2 classes of the training; found {found}; put the"):
        data_of(run).load()


def test_a_folder_of_other_images_is_refused(photos: Path) -> None:
    run = of_folder(photos)
    for image in photos.glob("*/*.png"):
        image.rename(image.with_stem(f"other-{image.stem}"))
    with pytest.raises(UsageError, match=r"28 train images of the training in .*; found 0 of them"):
        data_of(run).load()


def test_lines_that_are_added_to_a_csv_file_are_left_out(photos: Path) -> None:
    run = begun(CSVFile, photos.parent, file=str(listed(photos)))
    before = names(data_of(run))
    save(photos / "cat" / "!new.png")
    listed(photos)
    data = data_of(run)
    assert names(data) == before
    assert data.notes[0].endswith("1 newer images are left out (photos/cat/!new.png)")


def test_a_split_that_was_rewritten_in_a_csv_file_does_not_count(photos: Path) -> None:
    path = listed(photos, "train")
    run = begun(CSVFile, photos.parent, file=str(path))
    before = names(data_of(run))
    path.write_text(path.read_text().replace("00.png,cat,train", "00.png,cat,test"))
    path.write_text(path.read_text().replace("00.png,dog,train", "00.png,dog,test"))
    data = data_of(run)
    assert names(data) == before
    assert data.notes[0].endswith("images would be in another one now")


def test_lines_of_a_csv_file_in_another_order_change_nothing(photos: Path) -> None:
    root = photos.parent / "splits"
    for split in SPLITS:
        shutil.copytree(photos, root / split)
    lines = [
        f"splits/{path.relative_to(root)},{path.parent.name},{path.parent.parent.name}"
        for path in sorted(root.glob("*/*/*.png"))
    ]
    file = photos.parent / "images.csv"
    file.write_text("\n".join(["path,label,split", *lines]))
    run = begun(CSVFile, photos.parent, file=str(file))
    before = names(data_of(run))
    file.write_text("\n".join(["path,label,split", *lines[::-1]]))
    data = data_of(run)
    assert names(data) == before
    assert data.notes == []


def test_an_image_that_a_csv_file_names_twice_stays_twice(photos: Path) -> None:
    path = listed(photos)
    path.write_text(path.read_text() + "photos/cat/00.png,cat\n")
    run = begun(CSVFile, photos.parent, file=str(path))
    before = names(data_of(run))
    assert sum(name == "cat/00.png" for part in before.values() for name in part) == 2
    save(photos / "dog" / "!new.png")
    path.write_text(path.read_text() + "photos/dog/!new.png,dog\n")
    assert names(data_of(run)) == before


def test_a_name_that_is_not_utf_8_is_recorded(photos: Path) -> None:
    (photos / "cat" / "00.png").rename(photos / "cat" / os.fsdecode(b"\xff.png"))
    run = of_folder(photos)
    save(photos / "dog" / "new.png")
    parts = names(data_of(run))
    assert sum(name == "cat/\udcff.png" for part in parts.values() for name in part) == 1


def test_data_that_cannot_change_have_no_record(tmp_path: Path) -> None:
    run = begun(Digits, tmp_path)
    assert not run.split_record.exists()
    assert data_of(run).pinned is None


def test_a_run_without_a_record_draws_its_splits_again(photos: Path) -> None:
    run = of_folder(photos)
    run.split_record.unlink()
    save(photos / "cat" / "new.png")
    assert names(data_of(run)) == names(ImageFolder(str(photos), **OPTIONS))


@pytest.mark.parametrize("kind", [ImageFolder, CSVFile])
@pytest.mark.parametrize("layout", ["", "train"])
def test_a_run_without_a_record_has_the_splits_that_it_was_trained_with(
    photos: Path, kind: type[DatasetModule], layout: str
) -> None:
    fill(photos / "cat" / "more", 180)
    for name in ("bird", "cow", "fox"):
        fill(photos / name, 3)
    if kind is CSVFile:
        options: dict[str, Any] = {"file": str(listed(photos, layout, "**/*.png"))}
    else:
        root = photos / layout
        if layout:
            root = photos.rename(photos.with_name("all"))
            (photos / layout).parent.mkdir()
            root = root.rename(photos / layout).parent
        options = {"root": str(root)}
    older = kind(**OPTIONS, **options)
    older.source.every_class = False
    before = names(older)
    assert before != names(kind(**OPTIONS, **options))
    run = begun(kind, photos.parent, **options)
    run.split_record.unlink()
    assert names(data_of(run)) == before
    run.last_checkpoint.parent.mkdir()
    for trained in (run, None, runs.create(photos.parent / "logs", "resnet34")):
        data = kind(**OPTIONS, **options)
        run_splits.adopt(data, str(run.last_checkpoint), trained)
        assert names(data) == before


def test_a_run_with_a_record_draws_every_class_into_each_split(photos: Path) -> None:
    run = of_folder(photos)
    assert data_of(run).source.every_class
    data = ImageFolder(str(photos), **OPTIONS)
    run_splits.adopt(data, None, run)
    assert data.source.every_class


def test_an_older_run_that_goes_on_gets_no_record(photos: Path) -> None:
    run = of_folder(photos)
    run.split_record.unlink()
    run.last_checkpoint.parent.mkdir()
    run.last_checkpoint.touch()
    run_splits.store(ImageFolder(str(photos), **OPTIONS), run)
    assert not run.split_record.exists()


def test_a_training_that_fails_before_its_first_step_leaves_no_record(photos: Path) -> None:
    run = of_folder(photos)
    assert run.split_record.is_file()
    remove_untrained(run)
    assert not run.folder.exists()


def resumed(run: Run, photos: Path, trained: Run | None) -> ImageFolder:
    run.last_checkpoint.parent.mkdir(exist_ok=True)
    data = ImageFolder(str(photos), **OPTIONS)
    run_splits.adopt(data, str(run.last_checkpoint), trained)
    return data


@pytest.mark.parametrize("trains", [True, False])
def test_a_command_with_a_checkpoint_uses_the_splits_of_its_run(photos: Path, trains: bool) -> None:
    run = of_folder(photos)
    before = names(data_of(run))
    save(photos / "cat" / "!new.png")
    data = resumed(run, photos, run if trains else None)
    assert data.notes
    assert names(data) == before


def test_a_new_run_of_a_checkpoint_records_the_splits_of_the_earlier_one(photos: Path) -> None:
    run = of_folder(photos)
    save(photos / "cat" / "!new.png")
    later = runs.create(photos.parent / "logs", "resnet34")
    run_splits.store(resumed(run, photos, later), later)
    assert split_record.read(later) == split_record.read(run)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another data set of the same classes."""
    for name in ("cat", "dog"):
        for number in range(9):
            save(tmp_path / "other" / name / f"other-{number}.png")
    return tmp_path / "other"


def test_an_evaluation_takes_all_images_of_another_set_and_says_so(
    photos: Path, other: Path
) -> None:
    run = of_folder(photos)
    data = resumed(run, other, None)
    everything = sorted(chain(*names(ImageFolder(str(other), **OPTIONS)).values()))
    assert len(everything) == 18
    assert sorted(names(data)["test"]) == sorted(names(data)["val"]) == everything
    assert data.notes == [
        f"{other}: no image has the name of one of the training or validation images: all 18 count"
    ]
    with pytest.raises(UsageError, match="found 0 of them"):
        resumed(run, other, run)


def test_a_training_on_another_set_draws_its_splits(photos: Path, other: Path) -> None:
    run = of_folder(photos)
    later = runs.create(photos.parent / "logs", "resnet34")
    data = resumed(run, other, later)
    assert names(data) == names(ImageFolder(str(other), **OPTIONS))
    assert data.notes == [f"{other} does not hold the images of the training: its splits are new"]


def packed(content: bytes) -> bytes:
    """Return gzip's bytes without a time in them, so that each process collects the same tests."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip",
        packed(b"no JSON"),
        packed(b"[" * 100_000),
        packed(b'{"schema_version": 1}')[:-4],
        packed(b'{"schema_version": 2}'),
        packed(b'{"schema_version": 1, "class_names": ["a"], "splits": {"train": []}}'),
        packed(
            json.dumps(
                {
                    "schema_version": 1,
                    "class_names": ["a"],
                    "splits": {"train": [1], "val": [], "test": []},
                }
            ).encode()
        ),
        packed(
            json.dumps(
                {
                    "schema_version": 1,
                    "class_names": ["../a"],
                    "splits": {"train": [], "val": [], "test": []},
                }
            ).encode()
        ),
    ],
    ids=range(8),
)
def test_a_damaged_record_is_refused_in_one_line(photos: Path, content: bytes) -> None:
    run = of_folder(photos)
    run.split_record.write_bytes(content)
    with pytest.raises(UsageError, match=r"splits\.json\.gz: expected .*; found .*; "):
        data_of(run)


def test_a_record_that_unpacks_to_too_much_is_refused(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = of_folder(photos)
    monkeypatch.setattr(split_record, "_MOST_BYTES", 100)
    with pytest.raises(UsageError, match=r"splits\.json\.gz"):
        split_record.read(run)
