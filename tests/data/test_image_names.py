"""The names of a run's images are those of every later command, however a path is written."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from src.cli import run_splits
from src.data import image_names
from src.data.dataset_module import DatasetModule
from src.data.datasets.csv_file import CSVFile
from src.data.datasets.image_folder import ImageFolder
from src.data.image_names import ImageNames
from src.data.images import ImageDataModule
from src.data.restore import data_of
from src.run import folder as runs
from src.run import split_record, started_in
from src.run.folder import Run

PIXELS = np.zeros((8, 8, 3), dtype=np.uint8)


def fill(folder: Path, count: int = 8) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(PIXELS).save(folder / f"{number:02}.png")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, which holds a folder of photos."""
    project = tmp_path / "project"
    for name in ("cat", "dog"):
        fill(project / "photos" / name)
    monkeypatch.chdir(project)
    return project


def listed(project: Path, write: Callable[[Path], str], file: str = "images.csv") -> None:
    """Write a CSV file of the photos, with each path as ``write`` gives it."""
    with (project / file).open("w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["path", "label"])
        for image in sorted(project.glob("photos/*/*.png")):
            rows.writerow([write(image), image.parent.name])


def begun(kind: type[DatasetModule], logs: Path, **options: str) -> Run:
    run = runs.create(logs, "resnet34")
    started_in.note(run, Path.cwd())
    every = {"image_size": 16, "num_workers": 0, **options}
    data = {"class_path": f"{kind.__module__}.{kind.__name__}", "init_args": every}
    run.config.write_text(yaml.safe_dump({"data": data}))
    run_splits.store(kind(**every), run)
    return run


def files(data: ImageDataModule) -> dict[str, list[tuple[int, int]]]:
    """Return the device and inode of each image in each split."""
    return {
        split: [
            (status.st_dev, status.st_ino)
            for index in indices.tolist()
            for status in [Path(images.name(index)).stat()]
        ]
        for split, (images, indices) in data.load().items()
    }


def require_kept(run: Run, before: dict[str, list[tuple[int, int]]]) -> None:
    """Check that the run has its own splits, without a note."""
    data = data_of(run)
    assert files(data) == before
    assert data.notes == []


def absolute(image: Path) -> str:
    return str(image)


def relative(image: Path) -> str:
    return str(image.relative_to(Path.cwd()))


def with_a_dot(image: Path) -> str:
    return f"./{relative(image)}"


def with_dots(image: Path) -> str:
    return f"photos/../photos/./{image.parent.name}//{image.name}"


def absolute_with_dots(image: Path) -> str:
    return f"{image.parent}/../{image.parent.name}/{image.name}"


def some_absolute(image: Path) -> str:
    return absolute(image) if int(image.stem) % 2 else relative(image)


def by_a_link(image: Path) -> str:
    return str(image).replace("/project/", "/link/")


SPELLINGS = [
    *(absolute, relative, with_a_dot, with_dots, absolute_with_dots),
    *(some_absolute, by_a_link),
]


@pytest.mark.parametrize("options", [{}, {"root": "."}, {"root": "./photos/.."}], ids=str)
@pytest.mark.parametrize("write", SPELLINGS)
def test_the_splits_hold_from_every_working_folder(
    project: Path,
    write: Callable[[Path], str],
    options: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (project.parent / "link").symlink_to(project)
    listed(project, write)
    run = begun(CSVFile, project / "logs", file="images.csv", **options)
    before = files(CSVFile("images.csv", **options))
    require_kept(run, before)
    monkeypatch.chdir(project.parent)
    require_kept(run, before)
    record = split_record.read(run)
    assert record
    assert {name for part in record.splits.values() for name in part} == {
        f"photos/{label}/{number:02}.png" for label in ("cat", "dog") for number in range(8)
    }


@pytest.mark.parametrize("write", [absolute, some_absolute, by_a_link, absolute_with_dots])
def test_records_of_earlier_versions_with_absolute_paths_hold(
    project: Path, write: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.parent / "link").symlink_to(project)
    listed(project, write)
    run = begun(CSVFile, project / "logs", file="images.csv")
    data = CSVFile("images.csv")
    before = files(data)
    splits = {
        split: [images.name(index).removeprefix("./") for index in indices.tolist()]
        for split, (images, indices) in data.load().items()
    }
    split_record.write(run, split_record.SplitRecord(["cat", "dog"], splits))
    require_kept(run, before)
    monkeypatch.chdir(project.parent)
    require_kept(run, before)


@pytest.mark.parametrize("root", ["link", "link/", "../project/link"])
def test_a_root_that_is_a_link_may_have_files_by_their_real_paths(
    project: Path, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "link").symlink_to("photos")
    listed(project, absolute)
    run = begun(CSVFile, project / "logs", file="images.csv", root=root)
    before = files(CSVFile("images.csv", root))
    monkeypatch.chdir(project.parent)
    require_kept(run, before)


@pytest.mark.parametrize("root", ["photos", "photos/", "./photos", "../project/photos", "link"])
def test_a_folder_of_classes_is_the_same_however_it_is_named(
    project: Path, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "link").symlink_to("photos")
    run = begun(ImageFolder, project / "logs", root=root)
    before = files(ImageFolder(root))
    monkeypatch.chdir(project.parent)
    require_kept(run, before)


@pytest.mark.parametrize("write", [absolute, absolute_with_dots])
def test_a_moved_folder_with_a_rewritten_csv_file_keeps_its_splits(
    project: Path, write: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed(project, write)
    run = begun(CSVFile, project.parent / "logs", file="images.csv")
    before = files(CSVFile("images.csv"))
    monkeypatch.chdir(project.parent)
    moved = project.rename(project.parent / "moved")
    listed(moved, write)
    run = runs.Run(run.folder, data_paths={"file": str(moved / "images.csv")})
    require_kept(run, before)


def test_two_files_whose_paths_differ_by_a_link_alone_stay_two(project: Path) -> None:
    fill(project / "deep" / "photos" / "cat")
    (project / "deep" / "inner").mkdir()
    (project / "short").symlink_to("deep/inner")
    listed(project, relative)
    with (project / "images.csv").open("a") as file:
        file.writelines(f"short/../photos/cat/{number:02}.png,cat\n" for number in range(8))
    run = begun(CSVFile, project / "logs", file="images.csv")
    record = split_record.read(run)
    assert record
    names = [name for part in record.splits.values() for name in part]
    assert sum(name.startswith("deep/photos/cat/") for name in names) == 8
    assert sum(name.startswith("photos/cat/") for name in names) == 8
    require_kept(run, files(CSVFile("images.csv")))


def test_a_copy_with_decomposed_letters_keeps_its_splits(project: Path) -> None:
    composed = "caf\u00e9"
    (project / "photos" / "cat").rename(project / "photos" / composed)
    image = project / "photos" / "dog" / "00.png"
    image.rename(image.with_stem("\u00fcber"))
    run = begun(ImageFolder, project / "logs", root="photos")
    before = files(ImageFolder("photos"))
    for path in [*project.glob("photos/*/*"), *project.glob("photos/*")]:
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    data = data_of(run)
    assert unicodedata.normalize("NFD", composed) in data.class_names
    assert {split: sorted(part) for split, part in files(data).items()} == {
        split: sorted(part) for split, part in before.items()
    }
    assert data.notes == []


def test_names_have_slashes_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ImageNames(Path("photos"))
    monkeypatch.setattr(image_names.os, "sep", "\\")
    assert names.of(["photos/cat\\0.png"]) == ["cat/0.png"]
    recorded = names.recorded({"train": ["cat\\0.png", "dog/0.png"]})
    assert recorded == {"train": ["cat/0.png", "dog/0.png"]}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("\x1b]0;title\x07.png", r"\x1b]0;title\x07.png"),
        ("\x1b[2J/0.png", r"\x1b[2J/0.png"),
        ("cat/a\nb.png", "cat/a b.png"),
        ("cat/\u202egnp.exe", r"cat/\u202egnp.exe"),
        ("cat/\udcff.png", r"cat/\udcff.png"),
        ("cat/00.png\n2", "cat/00.png (2)"),
    ],
)
def test_recorded_names_are_escaped_in_a_note(project: Path, name: str, found: str) -> None:
    run = begun(ImageFolder, project / "logs", root="photos")
    record = split_record.read(run)
    assert record
    record.splits["train"].append(name)
    split_record.write(run, record)
    data = data_of(run)
    data.load()
    [note] = data.notes
    assert note.endswith(f": 1 images are missing ({found})")


def test_recorded_folders_are_escaped_in_a_note(project: Path) -> None:
    run = begun(ImageFolder, project / "logs", root="photos")
    record = split_record.read(run)
    assert record
    record.splits["train"] += ["\x1b[2J/0.png", "\x1b[2J/1.png"]
    split_record.write(run, record)
    data = data_of(run)
    data.load()
    assert data.notes[0].endswith(r"2 images are missing (2 in \x1b[2J)")
