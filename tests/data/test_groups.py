"""Images that belong together: lines of one image, and the groups of a column."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from src.cli import run_splits
from src.data.datasets.csv_file import CSVFile
from src.data.pipeline.split import SPLITS
from src.data.restore import data_of
from tests.data.test_own_images import photos
from tests.data.test_pinned_splits import begun

COUNT = 24  # images of a class


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("photos"), COUNT)


def listed(folder: Path, tmp_path: Path, lines: list[str], head: str, **options: object) -> CSVFile:
    file = tmp_path / "labels.csv"
    file.write_text("\n".join([head, *lines]) + "\n")
    return CSVFile(str(file), root=str(folder), image_size=8, num_workers=0, **options)


def every_image(line: Callable[[str, int], str]) -> list[str]:
    return [line(name, number) for name in ("cat", "dog") for number in range(COUNT)]


def names(data: CSVFile) -> dict[str, list[str]]:
    """Return the images of each split as ``cat/3``."""
    parts = data.load()
    return {
        split: ["/".join(Path(images.name(int(at))).with_suffix("").parts[-2:]) for at in indices]
        for split in SPLITS
        for images, indices in [parts[split]]
    }


# Forms of a file that lists an image more than once: copies of rare classes, boxes, raters.
REPEATED: dict[str, list[str]] = {
    "a class three times": [*every_image(lambda c, n: f"{c}/{n}.png,{c}")]
    + [f"cat/{number}.png,cat" for number in range(COUNT)] * 2,
    "each image twice": every_image(lambda c, n: f"{c}/{n}.png,{c}") * 2,
    "another spelling of the path": every_image(lambda c, n: f"{c}/{n}.png,{c}")
    + every_image(lambda c, n: f"./{c}/../{c}/{n}.png,{c}"),
    "another label": every_image(lambda c, n: f"{c}/{n}.png,{c}")
    + [f"dog/{number}.png,cat" for number in range(6)],
}


@pytest.mark.parametrize("form", REPEATED)
def test_all_lines_of_an_image_are_drawn_into_one_split(
    form: str, folder: Path, tmp_path: Path
) -> None:
    data = listed(folder, tmp_path, REPEATED[form], "path,label")
    splits = names(data)
    assert sum(map(len, splits.values())) == len(REPEATED[form])
    assert [len(set(part)) for part in splits.values()] == [33, 5, 10]  # images, not lines
    for split in SPLITS:
        others = {name for other in SPLITS if other != split for name in splits[other]}
        assert not others & set(splits[split])
    assert set(data.dataset("train").targets) == {0, 1}


def test_a_split_that_is_missing_is_drawn_by_whole_images(folder: Path, tmp_path: Path) -> None:
    lines = every_image(lambda c, n: f"{c}/{n}.png,{c},{'test' if n < 4 else 'train'}")
    lines += [f"cat/{n}.png,cat,train" for n in range(4, COUNT)]
    splits = names(listed(folder, tmp_path, lines, "path,label,split"))
    assert not set(splits["train"]) & set(splits["val"])
    assert len(splits["test"]) == 8
    assert len(set(splits["val"])) == 4
    assert len(splits["train"]) + len(splits["val"]) == len(lines) - 8


def test_a_file_without_repetition_is_split_as_before(folder: Path, tmp_path: Path) -> None:
    """The splits of earlier versions: a run without a record draws them again."""
    lines = every_image(lambda c, n: f"{c}/{n}.png,{c}")
    data = listed(folder, tmp_path, lines, "path,label")
    data.source.every_class = False
    before = names(data)
    data.source.every_class = True
    assert names(data) == before
    repeated = listed(folder, tmp_path, [*lines, lines[0]], "path,label")
    repeated.source.every_class = False  # a training that recorded no splits drew each line alone
    assert sum(map(len, names(repeated).values())) == len(lines) + 1


def test_the_images_of_a_group_are_in_one_split(folder: Path, tmp_path: Path) -> None:
    lines = every_image(lambda c, n: f"{c}/{n}.png,{c},{c} of patient {n // 3}")
    splits = names(listed(folder, tmp_path, lines, "path,label,patient", group_column="patient"))
    groups = {
        split: {(name.split("/")[0], int(name.split("/")[1]) // 3) for name in part}
        for split, part in splits.items()
    }
    assert not groups["train"] & groups["val"]
    assert not groups["train"] & groups["test"]
    assert not groups["val"] & groups["test"]
    assert {split: len(part) for split, part in groups.items()} == {
        "train": 10,
        "val": 2,
        "test": 4,
    }
    assert sum(map(len, splits.values())) == 2 * COUNT


def test_an_image_without_a_group_is_its_own(folder: Path, tmp_path: Path) -> None:
    lines = every_image(lambda c, n: f"{c}/{n}.png,{c},{n if n < 6 else ''}")
    splits = names(listed(folder, tmp_path, lines, "path,label,patient", group_column="patient"))
    for number in range(6):  # a patient with a cat and a dog
        owners = {
            split for split in SPLITS if {f"cat/{number}", f"dog/{number}"} & {*splits[split]}
        }
        assert len(owners) == 1
    assert all(splits.values())


def test_the_splits_of_a_run_with_groups_stay(folder: Path, tmp_path: Path) -> None:
    lines = every_image(lambda c, n: f"{c}/{n}.png,{c},{n // 3}")
    data = listed(folder, tmp_path, lines, "path,label,patient", group_column="patient")
    options = {"file": str(data.source.path), "root": str(folder), "group_column": "patient"}
    run = begun(CSVFile, tmp_path, **options)
    restored = data_of(run)
    assert names(restored) == names(data)
    assert run_splits.notes(restored) == []


NOTES: dict[str, tuple[list[str], dict[str, str], str]] = {
    "an image in two splits": (
        [*every_image(lambda c, n: f"{c}/{n}.png,{c},{n % 2},train"), "cat/3.png,cat,3,test"]
        + [f"{c}/0.png,{c},9,val" for c in ("cat", "dog")],
        {},
        "3 images are in more than one split, such as cat/3.png: accuracy is too good there",
    ),
    "an image with two labels": (
        [*every_image(lambda c, n: f"{c}/{n}.png,{c},{n},train"), "cat/3.png,dog,3,train"],
        {},
        "1 images have more than one label, such as cat/3.png: cat, dog",
    ),
    "a group in two splits": (
        every_image(lambda c, n: f"{c}/{n}.png,{c},p{n % 4},{'test' if n < 5 else 'train'}"),
        {"group_column": "patient"},
        "4 groups of the column patient are in more than one split, such as p1: accuracy is",
    ),
}


@pytest.mark.parametrize("kind", NOTES)
def test_what_makes_the_accuracy_too_good_is_told(kind: str, folder: Path, tmp_path: Path) -> None:
    lines, options, expected = NOTES[kind]
    data = listed(folder, tmp_path, lines, "path,label,patient,split", **options)
    data.prepare_data()
    [note] = data.notes
    assert note.startswith(expected)


def test_copies_in_one_split_are_not_told(folder: Path, tmp_path: Path) -> None:
    lines = every_image(lambda c, n: f"{c}/{n}.png,{c}")
    assert listed(folder, tmp_path, [*lines, *lines[:5]], "path,label").notes == []
