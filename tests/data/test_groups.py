"""Images that belong together: lines of one image, and the groups of a column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from src.cli import run_splits
from src.data.datasets.csv_file import CSVFile
from src.data.groups import connected, fill_in_together
from src.data.images import ImageDataModule
from src.data.pinned_splits import record_of
from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.split import SPLITS, fill_in
from src.data.restore import data_of
from src.errors import UsageError
from src.run import folder as runs
from src.run import split_record
from src.run.folder import Run
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


def names(data: ImageDataModule) -> dict[str, list[str]]:
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
        "3 images are in more than one split, such as cat/3.png: accuracy there is too high",
    ),
    "an image with two labels": (
        [*every_image(lambda c, n: f"{c}/{n}.png,{c},{n},train"), "cat/3.png,dog,3,train"],
        {},
        "1 images have more than one label, such as cat/3.png: cat, dog",
    ),
    "a group in two splits": (
        every_image(lambda c, n: f"{c}/{n}.png,{c},p{n % 4},{'test' if n < 5 else 'train'}"),
        {"group_column": "patient"},
        "4 groups of the column patient are in more than one split, such as p1: accuracy there",
    ),
}


@pytest.mark.parametrize("kind", NOTES)
def test_what_makes_the_accuracy_too_high_is_told(kind: str, folder: Path, tmp_path: Path) -> None:
    lines, options, expected = NOTES[kind]
    data = listed(folder, tmp_path, lines, "path,label,patient,split", **options)
    data.prepare_data()
    [note] = data.notes
    assert note.startswith(expected)


def test_copies_in_one_split_are_not_told(folder: Path, tmp_path: Path) -> None:
    lines = every_image(lambda c, n: f"{c}/{n}.png,{c}")
    assert listed(folder, tmp_path, [*lines, *lines[:5]], "path,label").notes == []


# Names of images and groups, and the lines that belong together.
CONNECTED: list[tuple[str, list[str], list[int]]] = [
    ("abc", ["", "", ""], [0, 1, 2]),
    ("aab", ["", "", ""], [0, 0, 2]),
    ("aab", ["1", "2", "2"], [0, 0, 0]),  # one image in two groups
    ("aab", ["", "1", "1"], [0, 0, 0]),  # a group on one line only
    ("abcd", ["1", "2", "1", "2"], [0, 1, 0, 1]),
    ("abcab", ["1", "2", "3", "3", "3"], [0, 0, 0, 0, 0]),
    ("ab", ["b", ""], [0, 1]),  # a group that is called as an image
]


@pytest.mark.parametrize(("names", "groups", "expected"), CONNECTED)
def test_lines_of_one_image_or_one_group_belong_together(
    names: str, groups: list[str], expected: list[int]
) -> None:
    assert connected(list(names), groups) == expected


@pytest.mark.parametrize("second", ["", "other", "{n}"])
def test_an_image_with_different_groups_is_in_one_split(
    second: str, folder: Path, tmp_path: Path
) -> None:
    lines = every_image(lambda c, n: f"{c}/{n}.png,{c},{c}{n}")
    again = [f"{c}/{n}.png,{c},{second.format(n=n)}" for c in ("cat", "dog") for n in range(3)]
    splits = names(
        listed(folder, tmp_path, lines + again, "path,label,patient", group_column="patient")
    )
    owners: dict[str, set[str]] = {}
    for split, part in splits.items():
        for name in part:
            owners.setdefault(name, set()).add(split)
    assert all(len(parts) == 1 for parts in owners.values())


def drawn_together(classes: list[str], seed: int, **existing: list[int]) -> dict[str, set[str]]:
    """Return the classes in each split of groups that have these classes."""
    labels = [(group, label) for group, word in enumerate(classes) for label in word]
    letters = sorted(set("".join(classes)))
    images = ImageFiles(
        [f"{group}.png" for group, _ in labels], [letters.index(label) for _, label in labels]
    )
    parts = fill_in_together(
        {split: (images, np.array(at)) for split, at in existing.items()},  # type: ignore[misc]
        images,
        [group for group, _ in labels],
        0.1,
        0.2,
        seed,
        letters,
        unit="groups of data.group_column",
    )
    positions = np.concatenate([indices for _, indices in parts.values()])
    assert sorted(positions.tolist()) == list(range(len(labels)))
    return {
        split: {letters[images.targets[at]] for at in indices}
        for split, (_, indices) in parts.items()
    }


# The classes of each group.
MIXED = {
    "a rare class in groups of a common one": ["ab"] * 3 + ["a"] * 40,
    "a rare class after a common one": ["abc"] * 4 + ["a"] * 30 + ["ab"] * 10,
    "a class that is alone once": ["ab"] * 9 + ["b"] + ["c"] * 20,
    "a class that is only in groups of rarer ones": ["ab"] * 4 + ["ac"] * 4 + ["b", "c"] * 4,
    "few groups with all classes": ["abc"] * 3,
    "no group of its own size": ["ab", "bc", "ca", "ab", "bc", "ca"],
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", MIXED)
def test_every_class_of_groups_with_several_is_in_each_split(kind: str, seed: int) -> None:
    parts = drawn_together(MIXED[kind], seed)
    assert all(part == set("".join(MIXED[kind])) for part in parts.values())


def test_too_few_groups_of_a_class_are_counted_as_groups(folder: Path, tmp_path: Path) -> None:
    lines = every_image(lambda c, n: f"{c}/{n}.png,{c},{n % 2 if c == 'cat' else n + 9}")
    data = listed(folder, tmp_path, lines, "path,label,patient", group_column="patient")
    with pytest.raises(UsageError, match=r"3 groups of data.group_column of every .* few of cat;"):
        data.load()


def test_groups_that_cannot_be_split_advise_another_seed() -> None:
    # Each class is in three groups, which only one arrangement shares out.
    classes = ["abc", "ade", "afg", "bdf", "beg", "cdg", "cef"]
    with pytest.raises(UsageError, match=r"none of . in \w+; set another data.split_seed"):
        drawn_together(classes, 0)


# Lines for which earlier versions could draw splits, as they drew each line alone.
FORMER: dict[str, list[str]] = {
    "a class with one image": [
        *every_image(lambda c, n: f"{c}/{n}.png,{c}"),
        *["cat/0.png,rare"] * 5,
    ],
    "a class that comes first in one image": [
        "dog/0.png,dog",
        *(f"cat/{n}.png,cat" for n in range(COUNT)),
        *(f"cat/{n % 2}.png,dog" for n in range(8)),
    ],
    "each image twice": every_image(lambda c, n: f"{c}/{n}.png,{c}") * 2,
}


# The head of a file without splits of its own, what ends its lines, and the option.
FORMER_SPLITS: dict[str, tuple[str, str, str]] = {
    "no column": ("path,label", "", "split"),
    "a column that is missing": ("path,label", "", "none"),
    "numbers in a column in capitals": ("path,label,SPLIT", ",7", "split"),
    "nothing in a column after a space": ("path,label, split", ",", "split"),
    "splits in a column in capitals": ("path,label,Split", ",train", "split"),
    "a column in another case than the option": ("path,label,Fold", ",7", "fold"),
    "the option with a space": ("path, label", "", "split"),
}


def former(
    folder: Path, tmp_path: Path, lines: list[str], form: str = "no column"
) -> tuple[Run, CSVFile, dict[str, list[str]]]:
    """Return a run of an earlier version, its data and its splits: it drew each line alone."""
    head, end, column = FORMER_SPLITS[form]
    label = " label" if ", label" in head else "label"
    options = {"split_column": column, "label_column": label}
    data = listed(folder, tmp_path, [line + end for line in lines], head, **options)
    classes = sorted({line.split(",")[1] for line in lines})
    images = ImageFiles(
        [str(folder / line.split(",")[0]) for line in lines],
        [classes.index(line.split(",")[1]) for line in lines],
    )
    parts = fill_in({}, images, 0.1, 0.2, data.loading.split_seed)
    run = runs.create(tmp_path / "logs", "resnet34")
    options |= {"file": str(data.source.path), "root": str(folder)}
    run.config.write_text(
        yaml.safe_dump(
            {"data": {"class_path": "src.data.datasets.csv_file.CSVFile", "init_args": options}}
        )
    )
    split_record.write(run, record_of({**parts}, folder, classes))
    recorded = {
        split: [lines[int(at)].partition(".png")[0] for at in indices]
        for split, (_, indices) in parts.items()
    }
    return run, data, recorded


def sorted_names(data: ImageDataModule) -> dict[str, list[str]]:
    return {split: sorted(part) for split, part in names(data).items()}


@pytest.mark.parametrize("lines", FORMER)
@pytest.mark.parametrize("user", ["a command", "a resume", "an evaluation", "another training"])
def test_a_recorded_run_with_repeated_images_keeps_its_splits(
    lines: str, user: str, folder: Path, tmp_path: Path
) -> None:
    run, data, recorded = former(folder, tmp_path, FORMER[lines])
    run.last_checkpoint.parent.mkdir()
    other = runs.create(tmp_path / "logs", "resnet34")
    trained = {"a resume": run, "an evaluation": None, "another training": other}
    used: ImageDataModule = data
    if user == "a command":
        used = data_of(run)
    else:
        run_splits.adopt(data, str(run.last_checkpoint), trained[user])
    used.prepare_data()
    assert sorted_names(used) == {split: sorted(part) for split, part in recorded.items()}


@pytest.mark.parametrize("has_record", [True, False])
@pytest.mark.parametrize("form", FORMER_SPLITS)
def test_a_run_keeps_its_splits_whatever_the_column_of_splits(
    form: str, has_record: bool, folder: Path, tmp_path: Path
) -> None:
    lines = every_image(lambda c, n: f"{c}/{n}.png,{c}")
    run, data, recorded = former(folder, tmp_path, lines, form)
    if not has_record:
        run.split_record.unlink()
    run.last_checkpoint.parent.mkdir()
    run_splits.adopt(data, str(run.last_checkpoint), run)
    for used in (data, data_of(run)):
        used.prepare_data()
        assert sorted_names(used) == {split: sorted(part) for split, part in recorded.items()}
        expected = "the file has no column none, which data.split_column names, and so gives no"
        notes = [note for note in used.notes if note.startswith(expected)]
        assert len(notes) == (form == "a column that is missing")
        assert not run_splits.notes(used)


def test_a_new_training_on_other_images_draws_whole_groups(folder: Path, tmp_path: Path) -> None:
    run, data, _ = former(folder, tmp_path, FORMER["a class with one image"])
    run.last_checkpoint.parent.mkdir()
    record = split_record.read(run)
    assert record is not None
    others = {split: [f"x/{name}" for name in part] for split, part in record.splits.items()}
    split_record.write(run, replace(record, splits=others))
    other = runs.create(tmp_path / "logs", "resnet34")
    message = "at least 3 different images of every class to split them; found too few of rare"
    with pytest.raises(UsageError, match=message):
        run_splits.adopt(data, str(run.last_checkpoint), other)
