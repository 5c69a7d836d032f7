"""Folders of images that cannot be reached: they do not count as empty."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from src.data.datasets.image_folder import ImageFolder
from src.data.folder_walk import read_folder
from src.errors import UsageError
from tests.data.test_folder_layout import lay_out
from tests.data.test_own_images import photos

UNLISTED = (errno.EACCES, errno.EIO, errno.ESTALE, errno.ETIMEDOUT)
LINKED = ("links out", "dead links", "loops", "loops of two", "dead annex links", "a dead link")
# The folders, and those of which one cannot be reached.
PLACES = {
    "train/cat train/dog test/cat test/dog": "test/cat test train/cat train",
    "train/cat train/dog val/cat val/dog test/cat test/dog": "val val/dog",
    "train/cat train/dog val/CAT val/Dog": "val/CAT",
    "train/cat train/dog test=20 test/cat": "test/cat",
    "cat dog cow": "cow",
    "cat dog val": "val",
    "archive/cat archive/dog archive/cow": "archive/cow",
    "archive/cat archive/dog test/cat": "test",
    "train/train/cat train/train/dog test/test/cat test/test/dog": "test/test/cat test/test train",
    "cat/train cat/test dog/train dog/test": "cat/test cat",
    "cat/train cat/val cat/test dog/train dog/val dog/test": "cat/test cat/train cat",
    "cat/2019 dog/2019": "cat cat/2019",
    "train/steam train/diesel car": "car",
}
CASES = [(folders, place) for folders, places in PLACES.items() for place in places.split()]


def refuse_listing(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int) -> None:
    """Let the listing of a folder fail; tests that run as root may list folders of mode 000."""
    scandir = os.scandir

    def refuse(path: str | os.PathLike[str]) -> object:
        if os.fspath(path) == str(folder):
            raise OSError(number, os.strerror(number), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


def put_links(place: Path, kind: str) -> None:
    """Replace the files in a folder and below by links that lead to no image of the data set."""
    if kind == "a dead link":
        shutil.rmtree(place)
        place.symlink_to(place.parent / "store" / "gone")
        return
    outside = Path("/nowhere/images")
    for path in [path for path in place.rglob("*") if path.is_file()]:
        path.unlink()
        other = path.with_name(f"{path.stem}-other{path.suffix}")
        target = {
            "links out": outside / path.name,
            "dead links": Path("..") / "store" / path.name,
            "dead annex links": path.parent / ".git" / "annex" / "objects" / f"SHA256E-{path.name}",
            "loops": Path(path.name),
            "loops of two": Path(other.name),
        }[kind]
        path.symlink_to(target)
        if kind == "loops of two":
            other.symlink_to(path.name)


def refused(root: Path) -> str:
    data = ImageFolder(str(root), image_size=8, num_workers=0, verify=False)
    with pytest.raises(UsageError) as caught:
        data.prepare_data()
    message = str(caught.value)
    assert message.startswith("data.root: expected ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("number", UNLISTED, ids=errno.errorcode.get)
@pytest.mark.parametrize(("folders", "place"), CASES)
def test_a_folder_that_cannot_be_listed_is_not_empty(
    folders: str, place: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path, folders)
    refuse_listing(monkeypatch, tmp_path / place, number)
    assert f"found {tmp_path / place} ({os.strerror(number)}); " in refused(tmp_path)


@pytest.mark.parametrize("kind", LINKED)
@pytest.mark.parametrize(("folders", "place"), CASES)
def test_a_folder_of_links_that_lead_to_no_image_is_not_empty(
    folders: str, place: str, kind: str, tmp_path: Path
) -> None:
    root = tmp_path / "photos"
    lay_out(root, folders)
    put_links(root / place, kind)
    message = refused(root)
    assert f"found {root / place}" in message
    assert (f", which leads to {'/nowhere' if kind == 'links out' else root}") in message
    if kind != "links out":
        assert message.endswith("(git annex get, dvc pull), or remove the links")


@pytest.mark.parametrize("kind", LINKED)
def test_a_whole_folder_of_links_that_lead_nowhere_says_so(kind: str, tmp_path: Path) -> None:
    root = tmp_path / "photos"
    for folder in ("train/cat", "train/dog", "test/cat", "test/dog"):
        lay_out(root, folder)
        put_links(root / folder, kind)
    assert ", which leads to " in refused(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_class_of_mode_000_is_not_empty(tmp_path: Path) -> None:
    lay_out(tmp_path, "train/cat train/dog test/cat test/dog")
    (tmp_path / "test" / "cat").chmod(0)
    try:
        assert f"found {tmp_path}/test/cat (Permission denied)" in refused(tmp_path)
    finally:
        (tmp_path / "test" / "cat").chmod(0o700)


# Things beside images that need not be reached, and the images that are there.
HARMLESS = {
    "train/cat train/dog val/cat": ("env/bin/python", "out", 36),
    "train/cat train/dog test/cat": ("docs/latest", "dead", 36),
    "cat dog": ("docs/readme.txt", "dead", 24),
    "cat dog cow": ("cow/0.txt", "dead", 36),
    "train/cat train/dog": ("list.csv", "dead", 24),
    "train/cat train/dog test/cat test/dog": ("test/index.html", "dead", 48),
    "cat dog emu": ("emu/new.jpg", "dead", 36),
}


@pytest.mark.parametrize("folders", HARMLESS)
def test_links_beside_the_images_are_no_classes(folders: str, tmp_path: Path) -> None:
    place, kind, count = HARMLESS[folders]
    root = tmp_path / "photos"
    data = lay_out(root, folders)
    link = root / place
    link.parent.mkdir(parents=True, exist_ok=True)
    (link.parent / "other.md").touch()
    link.symlink_to(tmp_path / "python" if kind == "out" else "nothing")
    data.prepare_data()
    assert sum(data.count(split) for split in ("train", "val", "test")) == count


@pytest.mark.parametrize("name", ["notes", "0.jpg_large", "data.bin"])
@pytest.mark.parametrize("number", UNLISTED, ids=errno.errorcode.get)
def test_a_file_of_an_unknown_kind_that_cannot_be_read_is_the_only_one_that_is_missing(
    name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(tmp_path)
    (tmp_path / "cat" / name).touch()

    def refuse(path: str) -> str | None:
        assert path == str(tmp_path / "cat" / name)
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr("src.data.folder_walk.kind_of", refuse)
    listed = read_folder(tmp_path)
    assert listed.count == 40
    assert f"found {tmp_path}/cat/{name} ({os.strerror(number)}); " in refused(tmp_path)
