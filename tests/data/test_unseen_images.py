"""An evaluation of a checkpoint counts no image that it was trained on, whatever set it names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from src.cli import run_splits
from src.data.dataset_module import DatasetModule
from src.data.datasets.csv_file import CSVFile
from src.data.datasets.digits import Digits
from src.data.datasets.image_folder import ImageFolder
from src.data.pipeline.split import SPLITS
from src.errors import UsageError
from src.run import folder as runs
from src.run import split_record, started_in
from src.run.folder import Run
from tests.data.test_pinned_splits import OPTIONS, begun, fill, listed, names, of_folder, save

Evaluated = Literal["val", "test"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        fill(tmp_path / "photos" / name)
    return tmp_path / "photos"


@pytest.fixture
def laid_out(tmp_path: Path) -> Path:
    """Splits that number their images alike."""
    for split in SPLITS:
        for name in ("cat", "dog"):
            fill(tmp_path / "laid out" / split / name, 6)
    return tmp_path / "laid out"


def evaluated(
    run: Run, data: DatasetModule, split: Evaluated = "test", trained: Run | None = None
) -> DatasetModule:
    run.last_checkpoint.parent.mkdir(exist_ok=True)
    run_splits.adopt(data, str(run.last_checkpoint), trained, split)
    assert data.class_names == ["cat", "dog"]
    assert data.count("train")  # a command reads it before it evaluates
    return data


def of(root: Path) -> ImageFolder:
    return ImageFolder(str(root), **OPTIONS)


def of_list(path: Path, **options: str) -> CSVFile:
    return CSVFile(str(path), **OPTIONS, **options)


def with_splits(folder: Path, lines: list[tuple[str, str]], column: str = "split") -> Path:
    """Write a CSV file of images in class folders, each with its split."""
    rows = [f"{name},{name.split('/')[-2]},{split}" for name, split in lines]
    path = folder / "images.csv"
    path.write_text("\n".join([f"path,label,{column}", *rows]))
    return path


def pngs(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


def as_it_is(root: Path) -> Path:
    return root


def by_a_link(root: Path) -> Path:
    link = root.parent.parent / "link"
    link.symlink_to(root)
    return link


def relative(root: Path) -> Path:
    os.chdir(root.parent)
    return Path(root.name)


@pytest.mark.parametrize("spelled", [as_it_is, by_a_link, relative])
def test_a_folder_in_that_of_the_training_is_known_to_be_trained_on(
    laid_out: Path, spelled: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path.cwd())
    run = of_folder(laid_out)
    root = spelled(laid_out / "train")
    for split in ("val", "test"):
        with pytest.raises(UsageError, match=r"trained on; found 12 in .*, all of them training"):
            evaluated(run, of(root), split)


def test_a_split_folder_of_the_training_is_evaluated_as_what_it_is(laid_out: Path) -> None:
    run = of_folder(laid_out)
    with pytest.raises(UsageError, match=r"12 in .*val, all of them training or validation images"):
        evaluated(run, of(laid_out / "val"), "test")
    validated = evaluated(run, of(laid_out / "val"), "val")
    assert validated.count("val") == 12
    assert validated.notes[-1].endswith("no image is one of the training images: all 12 count")
    tested = evaluated(run, of(laid_out / "test"), "test")
    assert tested.count("test") == 12
    assert "no image is one of the training or validation images" in tested.notes[-1]


def test_the_folder_of_a_training_is_found_from_any_working_folder(
    laid_out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = of_folder(laid_out)
    run.config.write_text(run.config.read_text().replace(str(laid_out), laid_out.name))
    started_in.note(run, laid_out.parent)
    (laid_out.parent / "elsewhere").mkdir()
    monkeypatch.chdir(laid_out.parent / "elsewhere")
    with pytest.raises(UsageError, match="all of them training"):
        evaluated(run, of(laid_out / "train"))


@pytest.mark.parametrize("root", [True, False])
def test_a_list_of_the_images_of_a_folder_has_its_splits(photos: Path, root: bool) -> None:
    run = of_folder(photos)
    before = names(of(photos))
    save(photos / "cat" / "new.png", 77)
    (photos.parent / "lists").mkdir()
    path = listed(photos)
    if root:
        path = path.rename(photos.parent / "lists" / path.name)
    data = evaluated(run, of_list(path, **({"root": str(photos.parent)} if root else {})))
    assert names(data) == before
    note = "the splits are those of the training: 1 newer images are left out (photos/cat/new.png)"
    assert data.notes == [note]


def test_a_folder_of_the_images_of_a_list_has_its_splits(photos: Path) -> None:
    run = begun(CSVFile, photos.parent, file=str(listed(photos)))
    recorded = split_record.read(run)
    assert recorded is not None
    data = evaluated(run, of(photos))
    found = names(data)
    assert {split: [f"photos/{name}" for name in found[split]] for split in SPLITS} == (
        recorded.splits
    )
    assert data.notes == []


def test_an_image_that_a_list_names_by_a_link_or_twice_is_known(photos: Path) -> None:
    run = of_folder(photos)
    trained = names(of(photos))["train"]
    (photos.parent / "links" / "cat").mkdir(parents=True)
    (photos.parent / "links" / "dog").mkdir()
    for number, name in enumerate(trained[::5]):
        link = photos.parent / "links" / Path(name).parent / f"{number}.png"
        link.symlink_to(photos / name)
    (photos.parent / "folder").symlink_to(photos)
    for name in ("cat", "dog"):
        save(photos.parent / "new" / name / "1.png")
    lines = [f"photos/{name}" for name in trained[:3]] + [f"photos/{trained[0]}"]
    lines += pngs(photos.parent / "links")
    lines = [line if line.startswith("photos/") else f"links/{line}" for line in lines]
    lines += [f"folder/{trained[1]}", f"folder/{trained[-1]}", "new/cat/1.png", "new/dog/1.png"]
    path = photos.parent / "images.csv"
    path.write_text("\n".join(["path,label", *(f"{line},{line.split('/')[-2]}" for line in lines)]))
    data = evaluated(run, of_list(path))
    assert names(data)["test"] == ["cat/1.png", "dog/1.png"]


def test_a_new_training_on_a_folder_of_the_training_goes_by_the_same_images(photos: Path) -> None:
    run = of_folder(photos)
    later = runs.create(photos.parent / "logs", "resnet34")
    data = of_list(listed(photos))
    before = names(of(photos))
    run_splits.adopt(evaluated(run, data, trained=later), str(run.last_checkpoint), later)
    assert names(data) == before


def test_a_new_training_on_a_part_of_the_images_says_what_it_tests_on(photos: Path) -> None:
    run = of_folder(photos)
    later = runs.create(photos.parent / "logs", "resnet34")
    data = evaluated(run, of(part_of(photos)), trained=later)
    assert data.notes[-1].endswith(
        "its splits are new, and 1 of its 3 test images were among those that the checkpoint was "
        "trained or validated on"
    )


def part_of(photos: Path) -> Path:
    """Copy the first images of each class under the same names."""
    part = photos.parent / "part"
    for name in pngs(photos):
        if int(Path(name).stem) < 6:
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(photos / name, part / name)
    return part


@pytest.mark.parametrize(("split", "seen"), [("val", ["train"]), ("test", ["train", "val"])])
def test_of_a_part_of_the_images_those_of_the_training_are_left_out(
    photos: Path, split: Evaluated, seen: list[str]
) -> None:
    run = of_folder(photos)
    before = names(of(photos))
    part = part_of(photos)
    save(part / "dog" / "new.png")
    left_out = {name for which in seen for name in before[which]}
    expected = [name for name in pngs(part) if name not in left_out]
    assert 1 < len(expected) < 6
    data = evaluated(run, of(part), split)
    assert names(data)[split] == expected
    kind = "training images" if split == "val" else "training or validation images"
    count = 13 - len(expected)
    note = f"{part}: {count} of 13 images have the names of {kind} and are left out"
    assert data.notes == [note]


def test_a_part_with_images_of_the_training_alone_is_refused(photos: Path) -> None:
    run = of_folder(photos)
    for name in names(of(photos))["test"]:
        (photos / name).unlink()
    part = part_of(photos)
    with pytest.raises(UsageError, match=r"all of them with the names of training or validation"):
        evaluated(run, of(part))


def test_the_test_split_of_another_set_has_no_image_of_the_training(laid_out: Path) -> None:
    run = of_folder(laid_out)
    other = laid_out.parent / "other"
    for name in ("cat", "dog"):
        fill(other / "train" / name, 9)
        fill(other / "test" / name, 9)
    lines = [(f"laid out/{name}", name.split("/")[0]) for name in pngs(laid_out)]
    lines = [(name, {"train": "test", "val": "test"}.get(split, "train")) for name, split in lines]
    lines += [(f"other/{name}", name.split("/")[0]) for name in pngs(other)]
    shutil.rmtree(laid_out / "test")  # so that it is another set
    lines = [line for line in lines if "laid out/test" not in line[0]]
    data = evaluated(run, of_list(with_splits(laid_out.parent, lines)))
    assert names(data)["test"] == [name.split("/", 1)[1] for name in pngs(other) if "test/" in name]
    assert data.notes[-1].endswith(
        "24 of 42 images of its test split are training or validation images and are left out"
    )


OWN: dict[str, dict[str, int]] = {
    "train": {"val": 12, "test": 12},
    "train val": {"val": 6, "test": 18},
    "train test": {"val": 12, "test": 4},
    "train val test": {"val": 6, "test": 4},
}
SIZES = {"train": 6, "val": 3, "test": 2}


def other_set(folder: Path, splits: str) -> Path:
    for split in splits.split():
        for name in ("cat", "dog"):
            for number in range(SIZES[split]):
                save(folder / split / name / f"other-{split}-{number}.png")
    return folder


@pytest.mark.parametrize("kind", ["folder", "list"])
@pytest.mark.parametrize("splits", OWN)
def test_another_set_is_evaluated_by_the_splits_that_it_names(
    photos: Path, splits: str, kind: str
) -> None:
    run = of_folder(photos)
    other = other_set(photos.parent / "other", splits)
    for split, count in OWN[splits].items():
        data: DatasetModule = of(other)
        if kind == "list":
            lines = [(name, name.split("/")[0]) for name in pngs(other)]
            data = of_list(with_splits(other, lines))
        evaluated(run, data, "val" if split == "val" else "test")
        assert data.count("val") == OWN[splits]["val"]
        assert data.count("test") == OWN[splits]["test"]
        of_split = f" of its {split} split" if split in splits else ""
        assert data.notes[-1].endswith(f"images: all {count}{of_split} count")


def test_a_list_of_test_images_needs_none_to_train_on(photos: Path) -> None:
    run = of_folder(photos)
    other = other_set(photos.parent / "other", "test")
    lines = [(name, "test") for name in pngs(other)]
    assert evaluated(run, of_list(with_splits(other, lines))).count("test") == 4


@pytest.mark.parametrize("column", ["Subset", "subset", " SUBSET "])
def test_a_column_of_splits_is_the_same_one_in_an_evaluation(photos: Path, column: str) -> None:
    run = of_folder(photos)
    other = other_set(photos.parent / "other", "train test")
    path = with_splits(other, [(name, name.split("/")[0]) for name in pngs(other)], column)
    data = evaluated(run, of_list(path, split_column="subset"))
    new = of_list(path, split_column="subset")
    assert names(data)["test"] == names(new)["test"]
    assert data.count("test") == 4


@pytest.mark.parametrize("is_older", [True, False])
def test_the_column_of_splits_of_another_list_is_read_as_for_a_training(
    photos: Path, is_older: bool
) -> None:
    run = of_folder(photos)
    if is_older:
        run.split_record.unlink()
    other = other_set(photos.parent / "other", "train test")
    path = with_splits(other, [(name, name.split("/")[0]) for name in pngs(other)], "Subset")
    assert evaluated(run, of_list(path, split_column="subset")).count("test") == 4
    with pytest.raises(UsageError, match="expected the column fold; found path, label, Subset"):
        evaluated(run, of_list(path, split_column="fold"))
    path.write_text(path.read_text().replace(",test", ",tset", 1))
    with pytest.raises(UsageError, match="as split; found tset on line"):
        evaluated(run, of_list(path, split_column="subset"))


@pytest.mark.parametrize("kind", ["folder", "list"])
@pytest.mark.parametrize("count", [1, 2])
def test_another_set_of_few_images_is_evaluated(photos: Path, kind: str, count: int) -> None:
    run = of_folder(photos)
    for name in ("cat", "dog"):
        for number in range(count):
            save(photos.parent / "few" / name / f"few-{number}.png")
    few = photos.parent / "few"
    data: DatasetModule = of(few)
    if kind == "list":
        rows = [f"{name},{name.split('/')[0]}" for name in pngs(few)]
        (few / "images.csv").write_text("\n".join(["path,label", *rows]))
        data = of_list(few / "images.csv")
    evaluated(run, data)
    data.prepare_data()
    assert data.count("test") == data.count("val") == 2 * count


def test_few_images_of_the_training_are_evaluated_without_a_draw(photos: Path) -> None:
    run = of_folder(photos)
    before = names(of(photos))
    dogs = {split: [name for name in before[split] if name[:3] == "dog"] for split in SPLITS}
    gone = [*dogs["train"], *dogs["val"][1:], *dogs["test"]]
    for name in gone:
        (photos / name).unlink()
    with pytest.raises(UsageError, match="enough images of every class to split them"):
        of(photos).load()
    run.last_checkpoint.parent.mkdir()
    data = of(photos)
    run_splits.adopt(data, str(run.last_checkpoint), None)
    assert data.notes[0].endswith(f"{len(gone)} images are missing ({len(gone)} in dog)")
    assert data.count("test") == len(before["test"]) - len(dogs["test"])


def test_another_folder_with_the_names_of_the_training_is_told(photos: Path) -> None:
    run = of_folder(photos)
    other = shutil.copytree(photos, photos.parent / "other")
    data = evaluated(run, of(other))
    assert names(data) == names(of(photos))
    named = "its images are taken for those of the training by their names"
    assert data.notes == [f"{other}: {named}: 8 of 40 count"]
    assert evaluated(run, of(photos)).notes == []


def test_a_network_of_a_published_set_is_evaluated_on_a_whole_folder(photos: Path) -> None:
    run = begun(Digits, photos.parent)
    assert split_record.read(run) is None
    data = evaluated(run, of(photos))
    assert data.count("test") == 40
    assert data.notes == [f"{photos}: the training recorded no names of images: all 40 count"]
    # An older run of the same kind that recorded no splits drew them.
    run = of_folder(photos)
    run.split_record.unlink()
    assert evaluated(run, of(photos)).count("test") == 8


def test_the_images_of_an_older_run_that_recorded_no_splits_are_known(
    photos: Path, laid_out: Path
) -> None:
    run = of_folder(laid_out)
    run.split_record.unlink()
    with pytest.raises(UsageError, match="all of them training or validation images"):
        evaluated(run, of(laid_out / "train"))
    run = of_folder(photos)
    before = names(of(photos))
    run.split_record.unlink()
    data = evaluated(run, of_list(listed(photos)))
    assert {split: sorted(part) for split, part in names(data).items()} == before
    moved = photos.rename(photos.with_name("moved"))
    assert names(evaluated(run, of(moved))) == before


@pytest.mark.parametrize("options", [{"root": 3}, {"root": ""}, {}, {"file": [1]}, "x", None])
def test_a_run_that_does_not_name_its_folder_is_evaluated(photos: Path, options: object) -> None:
    run = of_folder(photos)
    path = "src.data.datasets.image_folder.ImageFolder"
    run.config.write_text(f"data: {{class_path: {path}, init_args: {options!r}}}".replace("'", ""))
    assert evaluated(run, of(photos)).count("test") == 8
