"""Listing of a folder: images by their contents, and a note on the other files."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageFile

from src.cli.commands.data import check
from src.data.datasets.image_folder import ImageFolder
from src.data.folder_walk import note_on, read_folder
from src.data.pipeline import image_kind
from src.data.pipeline.image_file import UnreadableImageError, read_image
from src.data.pipeline.split import SPLITS
from src.errors import UsageError
from src.forecast import stage as forecast_stage
from src.predict import images
from src.search import notebook
from src.system import atomic_files
from tests.support import photos


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photos.pixels(20, 30)).save(file, kind)
    return file.getvalue()


def container(brand: bytes, *compatible: bytes) -> bytes:
    """Return the head of an ISO base media file, such as HEIC, AVIF or a video."""
    brands = brand + bytes(4) + b"".join(compatible)
    return (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + bytes(200)


HEIC = container(b"heic", b"mif1", b"heic")

PICTURES = {
    "photo.jpg_large": "JPEG",
    "photo": "JPEG",
    "IMG_0001": "PNG",
    "photo.JPG": "JPEG",
    "photo.jpeg!d": "JPEG",
    "photo.png.bak": "PNG",
    "photo.1": "GIF",
    "photo.image": "WEBP",
    "photo.tmp": "BMP",
    "photo.jpg;jsessionid=1": "AVIF",
    "photo.dat": "TIFF",
    "photo.txt.jpeg2": "JPEG2000",
}
OTHERS = {
    "notes.pdf": (b"%PDF-1.7 ...", ".pdf"),
    "features.h5": (b"\x89HDF\r\n\x1a\n", ".h5"),
    "weights.eps": (b"%!PS-Adobe-3.0 EPSF-3.0", ".eps"),
    "Thumbs.db": (b"\xd0\xcf\x11\xe0", ".db"),
    "labels.json": (b"{}", ".json"),
    "README": (b"BMW and other cars", "without an ending"),
    "empty": (b"", "without an ending"),
    "photo.HEIC": (HEIC, "HEIC"),
    "photo.heif": (container(b"mif1", b"mif1", b"heix"), "HEIC"),
    "also": (HEIC, "HEIC"),
    "film.mp4": (container(b"isom", b"isom", b"mp42"), ".mp4"),
    "DSC_0001.NEF": (b"MM\x00*" + bytes(100), "camera raw"),
    "favicon.ico": (b"\x00\x00\x01\x00" + bytes(100), "ICO"),
    "photo.jxl": (b"\xff\x0a" + bytes(100), "JPEG XL"),
}


@pytest.fixture
def plugins() -> Iterator[None]:
    """Clear the cached lists of formats before and after a test."""

    def forget() -> None:
        image_kind.formats.cache_clear()
        image_kind.endings.cache_clear()

    forget()
    yield
    forget()


@pytest.fixture
def no_plugin(plugins: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide pillow-heif, whether or not it is installed."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for table in (Image.OPEN, Image.EXTENSION):
        for name, kind in list(table.items()):
            if "HEIF" in (name, kind):
                monkeypatch.delitem(table, name)
    monkeypatch.setattr(Image, "ID", [name for name in Image.ID if name != "HEIF"])


@pytest.mark.parametrize("name", PICTURES)
def test_an_image_is_recognised_by_its_bytes_whatever_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(encoded(PICTURES[name]))
    folder = read_folder(tmp_path)
    assert (folder.images, folder.passed_over) == ([str(tmp_path / name)], {})
    assert read_image(tmp_path / name).size == (30, 20)


@pytest.mark.parametrize("name", OTHERS)
def test_files_that_are_not_images_are_passed_over_and_counted(
    name: str, tmp_path: Path, no_plugin: None
) -> None:
    content, kind = OTHERS[name]
    (tmp_path / name).write_bytes(content)
    folder = read_folder(tmp_path)
    assert (folder.images, folder.passed_over) == ([], {kind: 1})


@pytest.mark.parametrize("name", ["photos.zip", "photos.tar.gz", "labels.csv", "cat.jpg"])
def test_a_file_in_place_of_the_folder_names_the_way_to_read_it(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(
        UsageError, match=f"{name} .*unpack an archive and name .* data=csv data.fi"
    ):
        read_folder(tmp_path / name)


def test_pipes_and_links_to_nothing_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nothing.jpg")
    folder = read_folder(tmp_path)
    assert (folder.images, folder.passed_over) == ([], {"pipes": 1, "links to nothing": 1})


def test_the_note_on_a_folder_names_the_commonest_kinds_and_remedies(
    tmp_path: Path, no_plugin: None
) -> None:
    for number in range(12):
        (tmp_path / f"{number}.HEIC").write_bytes(HEIC)
        (tmp_path / f"{number}.jpg").touch()
    (tmp_path / "notes.pdf").write_bytes(b"%PDF")
    for number in range(8):
        (tmp_path / f"x.kind{number}").touch()
    line = note_on([read_folder(tmp_path)], "photos")
    assert line
    assert line == (
        "passed over 21 of 33 files in photos: 12 HEIC, 1 .kind0, 1 .kind1, 1 .kind2, 1 .kind3, "
        "1 .kind4, 4 of other kinds; install pillow-heif to read HEIC, or convert the file to JPEG"
    )
    assert note_on([], "photos") is None


def test_a_heic_file_named_jpg_names_the_plugin_that_reads_it(
    tmp_path: Path, no_plugin: None
) -> None:
    (tmp_path / "x.jpg").write_bytes(HEIC)
    with pytest.raises(UnreadableImageError, match="install pillow-heif to read HEIC"):
        read_image(tmp_path / "x.jpg")


def test_with_the_plugin_heic_files_are_images(
    tmp_path: Path, no_plugin: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Opened(ImageFile.ImageFile):
        def _open(self) -> None:
            self._size, self._mode = (4, 3), "RGB"

        def load(self) -> None:
            self.im = Image.new("RGB", (4, 3)).im

    def register() -> None:
        monkeypatch.setitem(Image.OPEN, "HEIF", (Opened, lambda prefix: prefix[4:8] == b"ftyp"))
        monkeypatch.setitem(Image.EXTENSION, ".heic", "HEIF")
        Image.ID.append("HEIF")

    plugin = SimpleNamespace(register_heif_opener=register)
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    for name in ("a.HEIC", "b", "c.jpg"):
        (tmp_path / name).write_bytes(HEIC)
    folder = read_folder(tmp_path)
    assert (sorted(map(os.path.basename, folder.images)), folder.passed_over) == (
        ["a.HEIC", "b", "c.jpg"],
        {},
    )
    assert {read_image(path).size for path in folder.images} == {(4, 3)}


def test_the_real_plugin_reads_heic(tmp_path: Path, plugins: None) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    pixels = photos.pixels(40, 60)
    Image.fromarray(pixels).save(tmp_path / "x.HEIC", quality=95)
    assert read_folder(tmp_path).images == [str(tmp_path / "x.HEIC")]
    image = read_image(tmp_path / "x.HEIC")
    assert np.abs(np.asarray(image).astype(int) - pixels).mean() < 12


def mixed(root: Path) -> Path:
    """Make a folder of 42 images, 18 of them without an image's ending, and of other files."""
    for label, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for number in range(21):
            ending = (".jpg", ".JPG", "", ".jpg_large")[number % 4]
            image = Image.fromarray(photos.pixels(12, 16, 100 * label + number, label))
            image.save(root / name / f"{number}{ending}", "JPEG")
        (root / name / "notes.pdf").write_bytes(b"%PDF")
        (root / name / "features.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
        (root / name / "new.HEIC").write_bytes(HEIC)
    return root


def test_training_uses_every_image_and_passes_over_other_files(
    tmp_path: Path, no_plugin: None
) -> None:
    data = ImageFolder(str(mixed(tmp_path)), image_size=8, num_workers=0)
    data.prepare_data()
    assert sum(data.count(split) for split in ("train", "val", "test")) == 42
    assert data.notes == [
        f"passed over 6 of 48 files in {tmp_path}: 2 .h5, 2 .pdf, 2 HEIC; "
        "install pillow-heif to read HEIC, or convert the file to JPEG"
    ]


def test_the_check_of_the_data_reports_files_that_were_passed_over(
    tmp_path: Path, no_plugin: None, capsys: pytest.CaptureFixture[str]
) -> None:
    root = mixed(tmp_path / "photos")
    sheet = f"sheet={tmp_path / 'sheet.png'}"
    check(["data=image_folder", f"data.root={root}", "data.num_workers=0", sheet])
    printed = capsys.readouterr().out
    assert "image_folder: 42 images in 2 classes" in printed
    assert f"\npassed over 6 of 48 files in {root}: 2 " in printed


def test_prediction_finds_every_image_and_reports_other_files(
    tmp_path: Path, no_plugin: None
) -> None:
    notes: list[str] = []
    assert len(images.find([str(mixed(tmp_path))], notes.append)) == 42
    [line] = notes
    assert line.startswith(f"passed over 6 of 48 files in {tmp_path}: 2 ")


CONFIGURATION = "# lightning.pytorch==2.5\ndata:\n  class_path: src.data.datasets.digits.Digits\n"
RECORD = {"schema_version": 1, "command": "python -m src.search", "made_at": "2026-01-01"}


def a_log(root: Path) -> None:
    image = root / "lightning_logs" / "resnet34" / "version_0" / "flipped" / "3.png"
    image.parent.mkdir(parents=True)
    image.write_bytes(encoded("PNG"))


def a_run_of_another_name(root: Path) -> None:
    (root / "my run" / "flipped").mkdir(parents=True)
    (root / "my run" / "checkpoints").mkdir()
    (root / "my run" / "config.yaml").write_text(CONFIGURATION)
    for name in ("accuracy.png", "flipped/1.png"):
        (root / "my run" / name).write_bytes(encoded("PNG"))


def a_run_that_was_killed(root: Path) -> None:
    (root / "killed").mkdir()
    (root / "killed" / "config.yaml").touch()
    (root / "killed" / "command.txt").write_text("python -m src.train model=resnet34\n")


def an_empty_log(root: Path) -> None:
    (root / "lightning_logs" / "resnet34" / "version_0").mkdir(parents=True)


def a_search(root: Path) -> None:
    (root / "search").mkdir()
    atomic_files.write_json(root / "search" / notebook.RECORD, RECORD)
    (root / "search" / "search.png").write_bytes(encoded("PNG"))


def a_forecast(root: Path) -> None:
    (root / "forecast" / "logs").mkdir(parents=True)
    atomic_files.write_json(root / "forecast" / forecast_stage.RECORD, RECORD)
    (root / "forecast" / "forecast.png").write_bytes(encoded("PNG"))


@pytest.mark.parametrize("split", ["", "train", "photos"])
@pytest.mark.parametrize(
    "write",
    [a_log, a_run_of_another_name, a_run_that_was_killed, an_empty_log, a_search, a_forecast],
)
def test_output_of_lightship_in_the_folder_is_no_class(
    write: Callable[[Path], None], split: str, tmp_path: Path, no_plugin: None
) -> None:
    mixed(tmp_path / split)
    write(tmp_path)
    data = ImageFolder(str(tmp_path), image_size=8, num_workers=0)
    assert data.class_names == ["cat", "dog"]
    assert len(np.concatenate([data.load()[name][1] for name in SPLITS])) == 42
    assert "1 folders of Lightship's own output" in data.notes[-1]
    [name] = {path.name for path in tmp_path.iterdir()} - {"cat", "dog", "train", "photos"}
    assert (
        f"Lightship's own output is {tmp_path / name}: if one of them is a class, move its "
        "config.yaml, search.json or forecast.json away"
    ) in data.notes[-1]


@pytest.mark.parametrize(
    ("names", "content"),
    [
        (["search.json"], ""),
        (["search.json"], '{"query": "dog", "schema_version": 1, "command": "scrape"}'),
        (["forecast.json"], '{"schema_version": 1, "rain": 0.5}'),
        (["forecast.json"], '[{"schema_version": 1, "command": "sun"}]'),
        (["forecast.json", "search.json"], '{"command": "python -m src.search"}'),
        (["config.yaml", "command.txt"], "python download.py --class dog\n"),
        (["config.yaml", "checkpoints/last.pt"], "model:\n  class_path: resnet.Model\n"),
        (["config.yaml", "checkpoints/epoch.jpg", "command.txt"], "a: 1\n"),
    ],
)
def test_files_of_other_programs_with_these_names_are_in_a_class(
    names: list[str], content: str, tmp_path: Path, no_plugin: None
) -> None:
    mixed(tmp_path)
    for name in names:
        (tmp_path / "dog" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "dog" / name).write_text(content)
    data = ImageFolder(str(tmp_path), image_size=8, num_workers=0)
    assert data.class_names == ["cat", "dog"]
    assert len(read_folder(tmp_path / "dog").images) == 21
    assert "own output" not in data.notes[-1]


def test_a_pipe_with_the_name_of_a_record_is_not_opened(tmp_path: Path, no_plugin: None) -> None:
    mixed(tmp_path)
    os.mkfifo(tmp_path / "dog" / "search.json")
    assert read_folder(tmp_path).count == 42


def test_a_folder_that_is_itself_output_can_be_read(tmp_path: Path) -> None:
    a_run_of_another_name(tmp_path)
    flipped = tmp_path / "my run" / "flipped" / "1.png"
    assert str(flipped) in read_folder(tmp_path / "my run").all_images()
    assert read_folder(tmp_path).all_images() == []
