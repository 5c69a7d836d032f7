"""Names on the command line of a bundle: folders, patterns, addresses, no file at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from src.shipped.predict_files import image_files


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a camera, a Mac and Windows leave it."""
    folder = tmp_path / "my photos"
    for name in ("b.JPG", "a.png", "trip/c.jpeg", "trip/day 1/d.webp", "[1] e.bmp", "été.tif"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)
    others = ("._a.png", ".DS_Store", "Thumbs.db", "notes.txt", "clip.mp4", ".trash/x.png")
    for name in others:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no image")
    monkeypatch.chdir(tmp_path)
    return folder


ALL = ["[1] e.bmp", "a.png", "b.JPG", "trip/c.jpeg", "trip/day 1/d.webp", "été.tif"]


@pytest.mark.parametrize("name", ["my photos", "my photos/", "./my photos"])
def test_a_folder_stands_for_its_images_at_any_depth(photos: Path, name: str) -> None:
    found = list(image_files([name]))
    assert [problem for _, problem in found] == [None] * len(ALL)
    assert [os.path.relpath(path, photos) for path, _ in found] == ALL
    assert all(path.startswith(name) for path, _ in found)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("my photos/*.png", ["my photos/a.png"]),
        ("my photos/*.[Jj][Pp][Gg]", ["my photos/b.JPG"]),
        ("my photos/[1] e.bmp", ["my photos/[1] e.bmp"]),  # a file's own name comes first
        ("my photos/tr*", ["my photos/trip/c.jpeg", "my photos/trip/day 1/d.webp"]),
    ],
)
def test_a_pattern_that_the_shell_left_stands_for_its_matches(
    photos: Path, pattern: str, matches: list[str]
) -> None:
    assert list(image_files([pattern])) == [(path, None) for path in matches]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("https://example.org/cat.jpg?size=3", "an address; download the image, and name its file"),
        ("HTTP://example.org/cat.jpg", "an address; download the image, and name its file"),
        ("s3://photos/cat.jpg", "an address; download the image, and name its file"),
        ("-", "standard input is not read; name a file"),
        ("my photos/*.gif", "no file matches this pattern"),
        ("my photos/none.jpg", "no such file"),
        ("", "no such file"),
        ("my photos/.trash/..", None),
        ("my photos/.trash", "no images in this folder"),
    ],
)
def test_a_name_without_an_image_has_its_reason(
    photos: Path, name: str, reason: str | None
) -> None:
    (photos / ".trash" / "x.png").rename(photos / ".trash" / "x.txt")
    found = list(image_files([name, "my photos/a.png"]))
    assert found[-1] == ("my photos/a.png", None)
    if reason is not None:
        assert found[:-1] == [(name, reason)]


def test_thousands_of_files_keep_the_order_of_their_names(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number:04}.png").touch()
    found = [Path(path).name for path, _ in image_files([str(tmp_path)])]
    assert found == [f"{number:04}.png" for number in range(3000)]
