"""Layouts of image folders: the splits and classes that are recognised."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from src.data import folder_walk
from src.data.datasets.csv_file import CSVFile
from src.data.datasets.image_folder import ImageFolder
from src.data.pipeline.split import splits_named
from src.errors import UsageError
from tests.data.test_own_images import photos

COUNT = 12  # images of a folder


def lay_out(root: Path, folders: str) -> ImageFolder:
    """Make folders: ``a=3`` with three images, ``a=0`` empty; ``a/x.pdf`` is a file."""
    for word in folders.split():
        name, _, count = word.partition("=")
        if "." in Path(name).name:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"no picture" if name.endswith(".pdf") else b"\xff\xd8\xff")
            continue
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(int(count or COUNT)):
            (root / name / f"{number}.jpg").touch()
    return ImageFolder(str(root), image_size=8, num_workers=0, verify=False)


def require_cases(folder: Path, names: str) -> None:
    """Skip if names differ only by case and the disk takes them for one."""
    folder.mkdir(exist_ok=True)
    (folder / "case").touch()
    is_one = (folder / "CASE").exists()
    (folder / "case").unlink()
    if is_one and len({name.casefold() for name in names.split()}) < len(names.split()):
        pytest.skip("this disk does not tell the case of a name")


def sizes(data: ImageFolder) -> list[int]:
    return [data.count(split) for split in ("train", "val", "test")]


# What is there, the classes, and the images to train, validate and test on.
LAYOUTS = {
    "train/cat train/dog valid/cat=2 valid/dog=3 test/cat=4 test/dog=4": (24, 5, 8),
    "training/cat training/dog validation/cat=2 validation/dog=3": (19, 5, 5),
    "Train/cat Train/dog VAL/cat=2 VAL/dog=3 Testing/cat=1 Testing/dog=1": (24, 5, 2),
    "train/cat train/dog dev/cat=2 dev/dog=2 eval/cat=1 eval/dog=1": (24, 4, 2),
    "train/cat train/dog eval/cat=2 eval/dog=2 test/cat=1 test/dog=1": (24, 4, 2),
    "training_set/cat training_set/dog test_set/cat=3 test_set/dog=3": (21, 3, 6),
    "TrainImages/cat TrainImages/dog ValImages/cat=2 ValImages/dog=2": (19, 4, 5),
    "train2017/cat train2017/dog val2017/cat=2 val2017/dog=2": (19, 4, 5),
    "seg_train/seg_train/cat seg_train/seg_train/dog seg_test/seg_test/cat=3 seg_pred/x": (
        21,
        3,
        3,
    ),
    "train/train/cat train/train/dog test/test/cat=3 test/test/dog=2": (21, 3, 5),
    "cat dog": (16, 3, 5),
    "archive/cat archive/dog": (16, 3, 5),
    "archive/set/train/cat archive/set/train/dog archive/set/val/cat=2": (19, 2, 5),
    "archive/cat archive/dog docs/guide.pdf": (16, 3, 5),
    "cat dog @eaDir/cat": (16, 3, 5),
    "cat dog docs/guide.pdf": (16, 3, 5),
    "cat dog val=0": (16, 3, 5),
    "cat/train cat/test=3 dog/train dog/test=2": (21, 3, 5),
    "cat/2019 cat/2020 dog/2019": (24, 4, 8),
    "train/cat train/dog": (17, 2, 5),
    "train/cat train/dog test/cat=0 test/dog=0 val=0": (17, 2, 5),
    "train/cat train/dog test=9": (17, 2, 5),
    "train/cat train/dog test/unknown=9": (17, 2, 5),
    "train/cat train/dog val/cat=3": (19, 3, 5),
    "train/cat train/dog val/cat=3 val/dog=0 test/dog=2": (24, 3, 2),
    "train/cat train/dog val/Cat=3 val/DOG=1 val/cow=0": (19, 4, 5),
    "train/cat train/dog val/cat=3 holdouts/cat": (19, 3, 5),
    "train/cat/a=6 train/cat/b=6 train/dog val/cat=3": (19, 3, 5),
}


@pytest.mark.parametrize("folders", LAYOUTS)
def test_common_folder_layouts_are_recognised(folders: str, tmp_path: Path) -> None:
    data = lay_out(tmp_path, folders)
    assert data.class_names == ["cat", "dog"]
    assert tuple(sizes(data)) == LAYOUTS[folders]
    for split in ("train", "val", "test"):
        images = data.dataset(split).images
        for index in data.dataset(split).indices:
            label = data.class_names[images.targets[index]]
            assert label in Path(images.name(int(index)).lower()).parts


# A class whose name is that of a split.
CLASSES = {
    "train car plane": ["car", "plane", "train"],
    "test car": ["car", "test"],
    "training swimming sleeping": ["sleeping", "swimming", "training"],
    "train/train train/car val/train=2 val/car=2": ["car", "train"],
    "train/old=2 train car": ["car", "train"],
}


@pytest.mark.parametrize("folders", CLASSES)
def test_a_class_may_have_a_splits_name(folders: str, tmp_path: Path) -> None:
    assert lay_out(tmp_path, folders).class_names == CLASSES[folders]


REFUSED = {
    "training validation": "class folders in each split; found images directly in",
    "train test": "class folders in each split",
    "train": "class folders in each split",
    "val/cat val/dog test/cat test/dog": "a folder train/ beside val/ or test/",
    "cat dog test/cat test/dog": "a folder train/ beside val/ or test/",
    "train/cat train/dog val/cat val/cow=3": "folders cat, dog in {}/val; found cow, of which {}/t",
    "train/cat train/dog test/chat test/chien": "found chat, chien, of which {}/train has none",
    "train/cat train/dog train_set/cat train_set/dog": "one folder for train; found {}/train, ",
    "train/cat train/dog Train/cat": "one folder for train",
    "train/cat train/dog val/cat validation/cat": "one folder for val",
    "train/cat train/dog dev/cat eval/cat test/cat": "one folder for val",
    "train/cat train/dog more/cat more/dog": "either splits or classes in {}; found {}/train",
    "car plane train/red train/blue": "either splits or classes in {}",
    "cat dog cow=0": "images in every class folder; found none in {}/cow",
    "train/cat train/dog train/cow=0": "found none in {}/train/cow",
    "train/cat": "expected at least 2 classes; found 1: cat",
}


@pytest.mark.parametrize("folders", REFUSED)
def test_ambiguous_folder_layouts_are_refused_in_one_line(folders: str, tmp_path: Path) -> None:
    require_cases(tmp_path, " ".join({word.split("/")[0] for word in folders.split()}))
    with pytest.raises(UsageError) as caught:
        lay_out(tmp_path, folders).prepare_data()
    message = str(caught.value)
    assert message.startswith("data.root: expected ")
    assert REFUSED[folders].replace("{}", str(tmp_path)) in message
    assert "\n" not in message


TOLD = {
    "train/cat train/dog test=9": "passed over 9 images in {}/test, which are in no class folders: "
    "test is drawn from {}/train",
    "train/cat train/dog val/cat=3": "{}/val has no images of dog",
    "train/cat train/dog val=0": "no images in {}/val",
    "train/cat train/dog val/cat holdouts/cat": "passed over, beside the folders of the splits: "
    "{}/holdouts",
    "archive/cat archive/dog": "the images are those in {}/archive, the only folder that holds",
    "cat dog docs/guide.pdf": "passed over folders without images: {}/docs",
    "test car": "{}/test is taken for a class, as it holds images like the other folders",
    "cat dog stray.jpg": "passed over 1 images directly in {}",
    "cat dog cat/notes.pdf notes.pdf": "passed over 2 of 26 files in {}: 2 .pdf",
    "cat Cat dog": "'Cat' and 'cat' are classes of their own, though their names differ only",
    "train/cat train/CAT train/dog": "'CAT' and 'cat' are classes of their own",
    "cat nan": "a class is called nan, as a missing label is written",
    "color/cat color/dog gray/cat gray/dog": "all images below a class folder are of the class, as "
    "those in color/cat and color/dog; if these folders are the classes, move them up",
    "fold1/cat fold1/dog fold2/cat fold2/dog": "all images below a class folder are of the class",
    "a/airfield a/alley b/bakery b/bank": "all images below a class folder are of the class, as "
    "those in a/airfield and a/alley",
    "train/m/cat train/m/dog train/eagle": "all images below a class folder are of the class, as "
    "those in m/cat and m/dog",
}


@pytest.mark.parametrize("folders", TOLD)
def test_files_and_folders_that_are_passed_over_are_reported(folders: str, tmp_path: Path) -> None:
    require_cases(tmp_path, folders)
    expected = TOLD[folders].replace("{}", str(tmp_path))
    notes = lay_out(tmp_path, folders).notes
    assert any(note.startswith(expected) for note in notes), notes


@pytest.mark.parametrize(
    "folders",
    [
        "train/cat train/dog val/cat val/dog test/cat test/dog",
        "cat/images dog/images",
        "cat cat/2019 cat/2020 dog",
        "cat/2019 dog/2020",
    ],
)
def test_an_expected_folder_layout_has_no_notes(folders: str, tmp_path: Path) -> None:
    assert lay_out(tmp_path, folders).notes == []


# The same name after a copy between systems, and the name in train.
COPIED = {
    unicodedata.normalize("NFD", "chat épais"): unicodedata.normalize("NFC", "chat épais"),
    unicodedata.normalize("NFC", "Ångström"): unicodedata.normalize("NFD", "Ångström"),
    unicodedata.normalize("NFD", "CAFÉ"): unicodedata.normalize("NFC", "Café"),
    "cat ": "cat",
    "golden  retriever": "golden retriever",
}


@pytest.mark.parametrize("name", COPIED)
def test_a_class_is_the_same_after_a_copy_between_systems(name: str, tmp_path: Path) -> None:
    for folder, count in ((f"train/{COPIED[name]}", 6), ("train/dog", 6), (f"val/{name}", 3)):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(count):
            (tmp_path / folder / f"{number}.jpg").touch()
    data = ImageFolder(str(tmp_path), image_size=8, num_workers=0, verify=False)
    assert data.class_names == sorted([COPIED[name], "dog"])
    assert data.count("val") == 3


@pytest.mark.parametrize(
    "name",
    [
        "trainer",
        "contest",
        "latest",
        "evaluate me",
        "train test",
        "tëst",
        "",
        "2019",
        "development of",
    ],
)
def test_similar_names_are_not_taken_for_splits(name: str) -> None:
    assert splits_named([name]) == {}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("train", "val", "test"), (20, 6, 14)),
        (("Training", "Validation", "Testing"), (20, 6, 14)),
        (("TRAIN", "dev", "eval"), (20, 6, 14)),
    ],
)
def test_a_csv_file_may_use_common_names_of_splits(
    words: tuple[str, str, str], expected: tuple[int, ...], tmp_path: Path
) -> None:
    photos(tmp_path)
    rows = [
        f"{name}/{number}.png,{name},{words[0 if number < 10 else 1 if number < 13 else 2]}"
        for name in ("cat", "dog")
        for number in range(20)
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,split", *rows]))
    data = CSVFile(str(tmp_path / "labels.csv"), image_size=8, num_workers=0)
    data.prepare_data()
    assert tuple(data.count(split) for split in ("train", "val", "test")) == expected


def test_a_class_that_only_val_and_test_have_is_refused(tmp_path: Path) -> None:
    photos(tmp_path)
    rows = [
        f"cat/{n}.png,cat,train\ndog/{n}.png,dog,{'val' if n < 5 else 'test'}" for n in range(9)
    ]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,split", *rows]))
    data = CSVFile(str(tmp_path / "labels.csv"), image_size=8, num_workers=0)
    with pytest.raises(UsageError, match="found none of dog, but 5 to validate and 4 to test"):
        data.train_dataloader()


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = lay_out(tmp_path, "cat dog dog/inner")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("inner"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UsageError, match=r"dog/inner \(Permission denied\)"):
        data.prepare_data()


def test_folders_nested_deeper_than_python_can_recurse_are_listed(tmp_path: Path) -> None:
    data = lay_out(tmp_path, "cat dog")
    folders = [tmp_path / "cat"]
    for _ in range(1200):
        folders.append(folders[-1] / "d")
        folders[-1].mkdir()
    (folders[-1] / "x.jpg").touch()
    assert sum(sizes(data)) == 25
    (folders[-1] / "x.jpg").unlink()
    for folder in reversed(folders[1:]):  # which shutil could not remove
        folder.rmdir()


SMALL = {(2, 3): (2, 2, 2), (2, 4): (4, 2, 2), (3, 3): (3, 3, 3), (5, 4): (10, 5, 5)}


@pytest.mark.parametrize("shape", SMALL)
def test_a_few_images_of_each_class_are_split(shape: tuple[int, int], tmp_path: Path) -> None:
    classes, count = shape
    data = lay_out(tmp_path, " ".join(f"class{label}={count}" for label in range(classes)))
    assert tuple(sizes(data)) == SMALL[shape]
    training = data.dataset("train")
    assert set(training.targets) == set(range(classes))


def test_a_class_with_too_few_images_to_split_is_named(tmp_path: Path) -> None:
    data = lay_out(tmp_path, "cat dog=1")
    with pytest.raises(UsageError, match=r"enough images of every class .*too few of dog"):
        data.count("train")


@pytest.mark.parametrize(
    ("files", "remedy"),
    [
        ("data/train-00000-of-00001.parquet data/README.md", "write the images into a folder"),
        ("x/train.tfrecord-00000-of-00005 x/labels.txt", "write the images into a folder"),
        ("train_x.npy test_x.npz", "write the images into a folder for each class"),
        ("train/cat.zip train/dog.zip", "unpack them"),
        ("part.tar.gz", "unpack them"),
    ],
)
def test_a_folder_of_packed_images_is_named_as_such(
    files: str, remedy: str, tmp_path: Path
) -> None:
    for name in files.split():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"packed")
    with pytest.raises(UsageError, match=rf"^data\.root: .*no image, and passed over.*{remedy}"):
        _ = ImageFolder(str(tmp_path)).class_names


@pytest.mark.parametrize("place", ["cat", "train/cat", "train/cat/0.jpg"])
def test_a_link_out_of_a_folder_with_an_archive_is_named(place: str, tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    lay_out(elsewhere, "cat")
    (root / place).parent.mkdir(parents=True)
    (root / place).symlink_to(elsewhere / "cat" / ("0.jpg" if place.endswith("jpg") else ""))
    (root / "photos.zip").write_bytes(b"packed")
    with pytest.raises(UsageError, match=r"^data\.root: expected images within .*cat.*leads to"):
        _ = ImageFolder(str(root)).class_names


def test_images_that_need_a_library_beside_an_archive_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_walk, "can_read", lambda kind: kind != "HEIC")
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "backup.zip").write_bytes(b"packed")
    with pytest.raises(UsageError, match=r"^data\.root: .*none in .*cat .*install pillow-heif"):
        _ = ImageFolder(str(tmp_path)).class_names


@pytest.mark.parametrize(
    ("folders", "root", "beside"),
    [
        ("photos/train/cat photos/train/dog photos/val/cat photos/val/dog", "train", "val"),
        ("photos/Training/cat photos/Training/dog photos/Testing/cat", "Training", "Testing"),
        ("photos/val/cat photos/val/dog photos/train/cat photos/train/dog", "val", "train"),
        ("photos/train/cat photos/train/dog photos/Test/CAT", "train", "Test"),
    ],
)
def test_splits_beside_the_folder_are_told(
    folders: str, root: str, beside: str, tmp_path: Path
) -> None:
    lay_out(tmp_path, folders)
    whole = tmp_path / "photos"
    data = ImageFolder(str(whole / root), image_size=8, verify=False)
    assert data.class_names == ["cat", "dog"]
    told = f"{whole / beside} beside it, with class folders of the same names, is not used: "
    assert told in data.notes[0]
    assert data.notes[0].endswith(f"set data.root={whole}")
    assert not any("beside it" in note for note in ImageFolder(str(whole)).notes)


@pytest.mark.parametrize(
    "others",
    [
        "",
        "photos/archive/x",
        "photos/train2/x",
        "photos/test",  # images without labels
        "photos/test/other=3",
        "photos/test/cat/test_cat.py photos/test/dog=0",
        "photos/test/cat/images",
    ],
)
def test_a_folder_called_train_alone_is_no_line(others: str, tmp_path: Path) -> None:
    lay_out(tmp_path, "photos/train/cat photos/train/dog")
    lay_out(tmp_path, others.replace("photos/test/cat/test_cat.py", "photos/test/cat=0"))
    if ".py" in others:
        (tmp_path / "photos/test/cat/test_cat.py").write_text("def test_cat(): ...")
    assert ImageFolder(str(tmp_path / "photos" / "train")).notes == []


def test_splits_beside_the_folder_that_cannot_be_used_are_no_line(tmp_path: Path) -> None:
    lay_out(tmp_path, "photos/val/cat photos/val/dog photos/test/cat photos/test/dog")
    assert ImageFolder(str(tmp_path / "photos" / "val")).notes == []  # there is no train
    lay_out(tmp_path, "own/train/cat own/train/dog")
    (tmp_path / "own" / "val").symlink_to(tmp_path / "photos" / "val")  # leads out of own
    assert ImageFolder(str(tmp_path / "own" / "train")).notes == []
