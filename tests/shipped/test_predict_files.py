"""Names on the command line of a bundle: folders, patterns, addresses, no file at all."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from src.shipped.predict_files import image_files
from src.shipped.predict_listing import SYSTEM_FOLDERS


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
        ("my photos/*/", ["my photos/trip/c.jpeg", "my photos/trip/day 1/d.webp"]),
        ("**/*.png", ["my photos/a.png"]),
        ("my photos/**/*.png", ["my photos/a.png"]),
        ("my photos/**/d.webp", ["my photos/trip/day 1/d.webp"]),
        ("my photos/**/day ?/*", ["my photos/trip/day 1/d.webp"]),
        ("my photos/**/trip/**/*.*[bp]*", ["my photos/trip/c.jpeg", "my photos/trip/day 1/d.webp"]),
        ("my photos/t*/**", ["my photos/trip/c.jpeg", "my photos/trip/day 1/d.webp"]),
        ("my photos/**/", [f"my photos/{name}" for name in ALL]),
        ("my ph*", [f"my photos/{name}" for name in ALL]),
        ("./my photos/trip/../*.png", ["./my photos/trip/../a.png"]),
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


@pytest.fixture
def unwaiting() -> Iterator[None]:
    """End a test that waits for the other end of a pipe."""

    def end(*_: object) -> None:
        raise TimeoutError("a pipe was opened")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("gone.jpg", "gone.jpg"),
        ("gone [1].jpg", "gone [1].jpg"),
        ("go?e.jpg", "gone.jpg"),
        ("*.jpg", "gone[1].jpg"),
        ("g*", "gone [*].jpg"),
        ("**/*.jpg", "trip/gone.jpg"),
        ("t*", "trip/gone.jpg"),
        (".", "trip/gone [1].jpg"),
    ],
)
def test_a_link_to_nothing_is_one_line_and_the_others_are_read(
    photos: Path, monkeypatch: pytest.MonkeyPatch, name: str, link: str
) -> None:
    monkeypatch.chdir(photos)
    Path(link).symlink_to("nowhere")
    found = list(image_files([name, "b.JPG"]))
    problems = [(os.path.normpath(path), problem) for path, problem in found if problem]
    assert problems == [(link, "a link to nothing")]
    assert found[-1] == ("b.JPG", None)


def test_a_match_is_never_taken_for_a_pattern(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    for name in ("x[1].png", "x1.png", "x*.png", "y [2]/z[3].png", "y 2/z3.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(name)
    Path("link[1].png").symlink_to("x1.png")
    assert [path for path, _ in image_files(["x*.png"])] == ["x*.png"]  # it is a file's own name
    assert [path for path, _ in image_files(["x[[]*"])] == ["x[1].png"]
    assert [path for path, _ in image_files(["y*"])] == ["y 2/z3.png", "y [2]/z[3].png"]
    assert [path for path, _ in image_files(["y [2]/*.png"])] == ["y [2]/z[3].png"]
    assert [path for path, _ in image_files(["link*"])] == ["link[1].png"]


@pytest.mark.usefixtures("unwaiting")
def test_a_pipe_in_a_folder_or_among_matches_is_not_opened(photos: Path) -> None:
    os.mkfifo(photos / "pipe.png")
    assert [os.path.relpath(path, photos) for path, _ in image_files(["my photos"])] == ALL
    found = list(image_files(["my photos/*.png"]))
    assert found == [("my photos/a.png", None), ("my photos/pipe.png", "a pipe or a device")]
    assert list(image_files(["/dev/nul[l]"])) == [("/dev/null", "a pipe or a device")]


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/null", "my photos/pipe.png"])
@pytest.mark.usefixtures("unwaiting")
def test_a_pipe_that_is_named_itself_is_an_image(photos: Path, name: str) -> None:
    """As in ``predict.py <(cat x.jpg)``: Pillow reads a pipe to its end."""
    os.mkfifo(photos / "pipe.png")
    assert list(image_files([name])) == [(name, None)]


@pytest.mark.parametrize("name", sorted(SYSTEM_FOLDERS))
def test_thumbnails_of_systems_are_no_images_of_the_user(photos: Path, name: str) -> None:
    for folder in (photos / name, photos / "trip" / name / "more"):
        folder.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(folder / "thumbnail.png")
    for words in (["my photos"], ["my photos/**/*.[!t]*"]):
        found = [os.path.relpath(path, photos) for path, _ in image_files(words)]
        assert [path for path in found if name in path] == []
        assert "trip/day 1/d.webp" in found
    named = str(photos / name)
    assert list(image_files([named])) == [(f"{named}/thumbnail.png", None)]


Call = Callable[..., Any]
NUMBERS = [errno.EACCES, errno.EIO, errno.ESTALE]


def refusing(call: Call, path: Path, number: int) -> Call:
    """Return a call of the system that fails for one path: root may read everything."""

    def refuse(given: Any = ".", *rest: Any, **options: Any) -> Any:
        if not isinstance(given, int) and os.path.abspath(given) == str(path):  # noqa: PTH100
            raise OSError(number, os.strerror(number), os.fspath(given))
        return call(given, *rest, **options)

    return refuse


@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("my photos", ["[1] e.bmp", "a.png", "b.JPG", "trip/c.jpeg", "été.tif"]),
        ("my photos/tr*", ["trip/c.jpeg"]),
        ("my photos/**/*.webp", []),
        ("my photos/*/*/*.webp", []),
        ("my photos/trip/day 1/*.webp", []),
        ("my photos/trip/day [12]/*.webp", []),
        ("my photos/**/*", ["[1] e.bmp", "a.png", "b.JPG", "notes.txt", "trip/c.jpeg", "été.tif"]),
        ("my photos/trip/day 1", []),
    ],
)
def test_a_folder_that_cannot_be_listed_is_one_line_and_the_others_are_read(
    photos: Path, monkeypatch: pytest.MonkeyPatch, number: int, name: str, others: list[str]
) -> None:
    day = photos / "trip" / "day 1"
    for other in ("Thumbs.db", "clip.mp4"):
        (photos / other).unlink()
    monkeypatch.setattr(os, "scandir", refusing(os.scandir, day, number))
    found = list(image_files([name]))
    assert [item for item in found if item[1]] == [("my photos/trip/day 1", os.strerror(number))]
    assert [os.path.relpath(path, photos) for path, problem in found if not problem] == others


@pytest.mark.parametrize("name", ["my photos", "my photos/trip/c.jpeg", "my photos/trip/*.jpeg"])
def test_a_file_in_a_folder_that_may_not_be_entered_says_so(
    photos: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = photos / "trip" / "c.jpeg"
    monkeypatch.setattr(os, "stat", refusing(os.stat, path, errno.EACCES))
    found = list(image_files([name, "my photos/a.png"]))
    assert ("my photos/trip/c.jpeg", "Permission denied") in found
    assert [path for path, problem in found if problem] == ["my photos/trip/c.jpeg"]
    assert found[-1] == ("my photos/a.png", None)


def test_a_pattern_with_a_name_in_a_folder_that_may_not_be_entered_says_so(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = photos / "trip" / "c.jpeg"
    monkeypatch.setattr(os, "lstat", refusing(os.lstat, path, errno.EACCES))
    expected = [("my photos/trip/c.jpeg", "Permission denied")]
    assert list(image_files(["my photos/tr*/c.jpeg"])) == expected


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_locked_folder_is_told_by_the_system_itself(photos: Path) -> None:
    (photos / "trip").chmod(0)
    try:
        assert ("my photos/trip", "Permission denied") in list(image_files(["my photos"]))
        for name in ("my photos/trip/c.jpeg", "my photos/trip/*.jpeg"):
            ((_, problem),) = image_files([name])
            assert problem == "Permission denied"
    finally:
        (photos / "trip").chmod(0o755)


def test_links_of_folders_in_a_circle_give_each_image_once(photos: Path) -> None:
    for name in ("again", "trip/again", "trip/day 1/again"):
        (photos / name).symlink_to(photos)
    for words in (["my photos"], ["my photos/**/*.*"]):
        found = [os.path.relpath(path, photos) for path, _ in image_files(words)]
        assert [path for path in found if not path.endswith((".db", ".mp4", ".txt"))] == ALL


def test_thousands_of_files_keep_the_order_of_their_names(tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"{number:04}.png").touch()
    found = [Path(path).name for path, _ in image_files([str(tmp_path)])]
    assert found == [f"{number:04}.png" for number in range(3000)]
