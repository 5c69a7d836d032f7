"""The check of the data: unreadable files, copies, and the contact sheet."""

from __future__ import annotations

import errno
import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from src.cli.commands.data import check
from src.cli.entry_point import run_command
from src.data.check.contact_sheet import COLUMNS, ContactSheet
from src.data.check.summary import lines, verdict
from src.data.check.survey import Extent, survey
from src.data.datasets.digits import Digits
from src.data.pipeline.image_file import REMARK
from tests.data.datasets.test_image_folder import fill, module


def splits(root: Path) -> Path:
    seeds = iter(range(10))
    for split, count in {"train": 6, "val": 2, "test": 3}.items():
        for name in ("cat", "dog"):
            fill(root / split / name, count, next(seeds))
    return root


def test_a_clean_data_set_has_no_verdict_and_all_its_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = splits(tmp_path / "photos")
    check(["data=image_folder", f"data.root={root}", f"sheet={tmp_path / 'sheet.png'}"])
    printed = capsys.readouterr().out
    assert "image_folder: 22 images in 2 classes" in printed
    assert [line.split() for line in printed.splitlines() if line.startswith(("cat", "train"))] == [
        ["train", "12", "30/30/30", "20/22/25"],
        ["cat", "6", "2", "3"],
    ]
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height == 200


def test_leaks_and_broken_files_are_named_and_end_with_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = splits(tmp_path / "photos")
    # The same pixels, in another format and under another class.
    with Image.open(root / "train" / "cat" / "1.png") as image:
        image.save(root / "test" / "dog" / "copy.bmp")
    shutil.copy(root / "train" / "dog" / "0.png", root / "train" / "dog" / "again.png")
    (root / "val" / "cat" / "0.png").write_bytes(b"nothing")
    argv = ["data=image_folder", f"data.root={root}", f"sheet={tmp_path / 'sheet.png'}"]
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: check(argv))
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert err == "error: 1 images are in more than one split and 1 files cannot be read\n"
    leak = f"{root}/train/cat/1.png (train, cat) = {root}/test/dog/copy.bmp (test, dog)"
    assert f"leaks, the same image in more than one split: 1\n  {leak}" in out
    assert f"contradictions, the same image in more than one class: 1\n  {leak}" in out
    assert "repeated, the same image more than once in a split: 1" in out
    assert f"unreadable: 1\n  {root}/val/cat/0.png: expected an image" in out


@pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT], ids=errno.errorcode.get)
def test_a_file_with_a_bad_sector_is_listed_and_the_rest_is_looked_at(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, read = splits(tmp_path), Image.open
    bad = str(root / "train" / "cat" / "2.png")

    def failing(path: str, *args: Any, **options: Any) -> Image.Image:
        if str(path) == bad:
            raise OSError(number, os.strerror(number))
        return read(path, *args, **options)

    monkeypatch.setattr(Image, "open", failing)
    data = module(root)
    sheet = ContactSheet(data.class_names, data.preprocessing)
    if number != errno.EIO:  # no file of this disk can be read
        with pytest.raises(OSError, match="timed out"):
            survey(data, sheet, lambda *_: None)
        return
    result = survey(data, sheet, lambda *_: None)
    assert [*result.unreadable] == [bad]
    assert "Input/output error" in result.unreadable[bad]
    assert "restore it from a copy" in result.unreadable[bad]
    assert result.splits["train"].width is not None


def test_a_data_set_in_memory_can_be_surveyed() -> None:
    data = Digits(image_size=8)
    progress_calls: list[tuple[str, int, int]] = []
    sheet = ContactSheet(data.class_names, data.preprocessing)
    result = survey(data, sheet, lambda *progress: progress_calls.append(progress))
    assert [result.splits[split].images for split in ("train", "val", "test")] == [
        *(1077, 180, 540),
    ]
    assert result.splits["test"].width == Extent(8, 8, 8)
    assert progress_calls[0] == ("train", 0, 1077)
    assert verdict(result) is None
    assert any("images a class in train: 1" in line for line in lines(result))


# Largest level of an image's pixels, their type, and whether the image is almost black.
RANGES = {
    "12 bits in 16": (4095, np.uint16, True),
    "10 bits in 16": (1023, np.uint16, True),
    "8 bits in 16": (255, np.uint16, True),
    "16 bits": (65_535, np.uint16, False),
    "14 bits in 16": (16_383, np.uint16, False),
    "8 bits": (255, np.uint8, False),
    "a night": (40, np.uint8, False),
    "black": (0, np.uint8, True),
}


@pytest.mark.parametrize("name", RANGES)
def test_images_that_use_a_small_part_of_their_range_are_named(name: str, tmp_path: Path) -> None:
    largest, kind, is_dark = RANGES[name]
    root = splits(tmp_path)
    pixels = np.linspace(0, largest, 900).reshape(30, 30).astype(kind)
    Image.fromarray(pixels).save(root / "train" / "cat" / "deep.png")
    data = module(root)
    result = survey(data, ContactSheet(data.class_names, data.preprocessing), lambda *_: None)
    assert result.dark == ([str(root / "train" / "cat" / "deep.png")] if is_dark else [])
    assert verdict(result) is None
    text = "\n".join(lines(result))
    assert ("almost black, no level above 16 of 255: 1" in text) == is_dark
    assert ("12 bits in a file of 16 look like this" in text) == is_dark


def planted_tiff(path: Path, kind: str) -> None:
    deep = Image.fromarray(np.arange(0, 60_000, 100, dtype=np.uint16).reshape(20, 30))
    if kind == "pages":
        deep.save(path, save_all=True, append_images=[deep])
        return
    deep.save(path)
    # The entry of the tag 262, of one value of 16 bits: 1 is black as zero.
    entry = b"\x06\x01\x03\x00\x01\x00\x00\x00"
    content = path.read_bytes()
    assert content.count(entry + b"\x01\x00") == 1
    if kind == "negative":
        path.write_bytes(content.replace(entry + b"\x01\x00", entry + b"\x00\x00"))


@pytest.mark.parametrize(
    ("kind", "remark"),
    [
        ("pages", "TIFF files of several pages, of which the first one is used: 1"),
        ("negative", "TIFF files of 16 bits with white as zero, which are read as negatives: 1"),
        ("usual", None),
    ],
)
def test_what_is_not_taken_of_a_sound_file_is_told(
    kind: str, remark: str | None, tmp_path: Path
) -> None:
    root = splits(tmp_path / "photos")
    planted_tiff(root / "train" / "cat" / "deep.tif", kind)
    planted = PngImagePlugin.PngInfo()
    planted.add_text(REMARK, "a remark of the file's own")
    with Image.open(root / "train" / "cat" / "1.png") as image:
        image.save(root / "train" / "cat" / "text.png", pnginfo=planted)
    data = module(root)
    result = survey(data, ContactSheet(data.class_names, data.preprocessing), lambda *_: None)
    assert result.unreadable == {}
    text = lines(result)
    if remark is None:
        assert result.remarks == {}
    else:
        assert text[text.index(remark) + 1] == f"  {root / 'train' / 'cat' / 'deep.tif'}"
        assert len(result.remarks) == 1
    assert "a remark of" not in "\n".join(text)


def test_the_contact_sheet_shows_one_row_per_class(tmp_path: Path) -> None:
    for level, name in enumerate(("dark", "light")):
        (tmp_path / name).mkdir()
        for number in range(20):
            colour = (10 + 200 * level, number, 0)
            Image.new("RGB", (20, 20), colour).save(tmp_path / name / f"{number}.png")
    data = module(tmp_path)
    sheet = ContactSheet(data.class_names, data.preprocessing)
    survey(data, sheet, lambda *_: None)
    with Image.open(io.BytesIO(sheet.png())) as image:
        cells = np.asarray(image)[50::100, 230::100, 0]
    assert cells.shape == (2, COLUMNS)
    assert (cells[0] == 10).all()
    assert (cells[1] == 210).all()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "expected a run folder or data=NAME"),
        (["data=image_foldr"], "did you mean data=image_folder?"),
        (["data=image_folder"], "data.root: expected a value"),
        (
            ["data=digits", "data.imagesize=3"],
            "expected an option of src.data.datasets.digits.Digits",
        ),
        (["nowhere"], "RUN: expected a run folder"),
    ],
)
def test_a_wrong_command_line_of_the_data_check_is_one_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: check(argv))
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
