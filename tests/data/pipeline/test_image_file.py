"""The reader of image files: all kinds of files, and damaged ones."""

from __future__ import annotations

import errno
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from src.data.datasets.image_folder import ImageFolder
from src.data.pipeline import image_file, image_kind
from src.data.pipeline.image_file import UnreadableImageError, as_rgb, read_image
from src.shipped import predict_images
from src.system import os_errors
from tests.data.datasets.test_image_folder import fill
from tests.support import damaged_images, photos


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path: Path) -> None:
    levels = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    for ending in (".png", ".tif", ".pgm"):
        path = tmp_path / f"deep{ending}"
        Image.fromarray(levels).save(path)
        assert np.asarray(read_image(path))[0, :, 0].tolist() == [0, 1, 128, 255], ending


@pytest.mark.parametrize(("mode", "colour"), [("L", 90), ("1", 1), ("LA", (90, 10))])
def test_grey_becomes_three_equal_channels(mode: str, colour: object) -> None:
    pixel = as_rgb(Image.new(mode, (1, 1), colour)).getpixel((0, 0))
    assert len(set(pixel)) == 1


def test_a_palette_with_transparency_gives_its_colours(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "p.png", transparency=b"\x00\x80")
    read = read_image(tmp_path / "p.png")
    assert [read.getpixel((x, 0)) for x in (0, 1)] == [(10, 20, 30), (200, 100, 50)]


def test_cmyk_keeps_its_colours_about(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (250, 10, 10)).convert("CMYK").save(tmp_path / "c.jpg", quality=95)
    red, green, blue = read_image(tmp_path / "c.jpg").getpixel((4, 4))
    assert (red > 200, green < 60, blue < 60) == (True, True, True)


# What lies in place of an image, and the advice.
IN_PLACE = {
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n": "by git lfs pull",
    b"<!DOCTYPE html>\n<html><body>404</body></html>": "a web page that was saved in place of the",
    b"\r\n  <!doctype HTML public": "download it again",
    b"<HTML><head>": "download it again",
    b"": "replace or remove the file",
    b"some text": "replace or remove the file",
}


@pytest.mark.parametrize("content", IN_PLACE)
def test_a_file_that_another_program_left_in_place_of_an_image_has_its_remedy(
    content: bytes, tmp_path: Path
) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(
        UnreadableImageError, match=f"x.jpg: expected an image.*{IN_PLACE[content]}"
    ):
        read_image(tmp_path / "x.jpg")


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_of_unknown_range_are_refused(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (2, 2), 70_000).save(tmp_path / "x.tif")
    with pytest.raises(UnreadableImageError, match=r"x.tif: .*range is not known"):
        read_image(tmp_path / "x.tif")


def test_a_decompression_bomb_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadableImageError, match=r"bomb.png: .*decompression bomb"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (6000, 4000)])
def test_one_pixel_and_many_are_images(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("L", size).save(tmp_path / "x.png")
    assert read_image(tmp_path / "x.png").size == size


def test_a_large_jpeg_can_be_decoded_smaller_but_not_below_what_is_needed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (800, 640)).save(tmp_path / "x.jpg", exif=exif)
    sizes = {side: read_image(tmp_path / "x.jpg", side).size for side in (100, 320, 321, 2000)}
    assert sizes == {100: (160, 200), 320: (320, 400), 321: (640, 800), 2000: (640, 800)}


class Broken(Dataset[int]):
    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        return read_image(self.path).width


def test_a_worker_hands_the_error_over_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"\xff\xd8 no more")
    with pytest.raises(UnreadableImageError) as caught:
        list(DataLoader(Broken(path), num_workers=1))
    assert str(caught.value).startswith(f"{path}: expected an image that Pillow can decode")
    assert "\n" not in str(caught.value)
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own
    assert str(again) == str(caught.value)


@pytest.mark.parametrize("content", damaged_images.READABLE, ids=lambda content: content.__name__)
def test_an_image_is_read_with_any_metadata_and_shape(
    content: Callable[[], bytes], tmp_path: Path
) -> None:
    (tmp_path / "x.jpg").write_bytes(content())
    image = read_image(tmp_path / "x.jpg")
    assert (image.size, image.mode) == (damaged_images.READABLE[content], "RGB")


@pytest.mark.parametrize("content", damaged_images.UNREADABLE, ids=lambda content: content.__name__)
def test_whatever_a_decoder_raises_is_one_unreadable_image(
    content: Callable[[], bytes], tmp_path: Path
) -> None:
    (tmp_path / "x.jpg").write_bytes(content())
    with pytest.raises(UnreadableImageError) as caught:
        read_image(tmp_path / "x.jpg")
    assert str(caught.value).startswith(f"{tmp_path}/x.jpg: expected an image that Pillow can")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "TGA", "PCX"]
)
def test_a_file_with_changed_bytes_is_an_image_or_unreadable(kind: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(photos.pixels(40, 30)).save(file, kind)
    generator = np.random.default_rng(0)
    for _ in range(30):
        content = bytearray(file.getvalue())
        for _ in range(generator.integers(1, 8)):
            content[int(generator.integers(len(content) // 2))] = int(generator.integers(256))
        (tmp_path / "x").write_bytes(content)
        try:
            image = read_image(tmp_path / "x")
        except UnreadableImageError:
            continue
        assert image.mode == "RGB"


@pytest.mark.parametrize(
    "raised", [RuntimeError("odd"), ZeroDivisionError(), RecursionError("deep")]
)
def test_an_error_that_no_decoder_has_raised_before_is_one_unreadable_image(
    raised: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "x.png")

    def fail(_: object) -> None:
        raise raised

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_end", fail)
    with pytest.raises(UnreadableImageError, match=type(raised).__name__):
        read_image(tmp_path / "x.png")


# Errors of the system at an image, and the line that explains them.
OF_THE_SYSTEM = {
    errno.EMFILE: "too many files are open",
    errno.EIO: "the disk fails",
    errno.ESTALE: "the network disk that it is on was taken away",
    errno.ENOTCONN: "the network disk that it is on was taken away",
    errno.EHOSTDOWN: "the network disk that it is on was taken away",
    errno.ETIMEDOUT: "the network disk or server that it is on does not answer",
    errno.EHOSTUNREACH: "the network disk or server that it is on does not answer",
    errno.ENODEV: "the disk that it is on was removed",
    errno.ENXIO: "the disk that it is on was removed",
}


def test_the_errors_of_a_failing_disk_are_those_of_the_system() -> None:
    others = {errno.ENFILE, getattr(errno, "EREMOTEIO", errno.EIO)}
    assert OF_THE_SYSTEM.keys() | others == image_file._OF_THE_SYSTEM


class FailingFile(Dataset[int]):
    """An image in the middle of whose file the disk fails. An error of read() has no path."""

    def __init__(self, number: int, path: Path) -> None:
        self.number, self.path = number, path

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        error = OSError(self.number, os.strerror(self.number))
        with mock.patch.object(Image, "open", side_effect=error):
            return read_image(self.path).width


@pytest.mark.parametrize("name", ["x.png", "it's.png", 'a "b" 猫.png', "[Errno 2] 'y'.png"])
@pytest.mark.parametrize("workers", [0, 1])
def test_the_explanation_of_a_failing_disk_has_the_path(
    workers: int, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    loader = DataLoader(FailingFile(errno.EIO, path), num_workers=workers)
    with pytest.raises(OSError, match="Input/output") as raised:
        list(loader)
    assert str(os_errors.explain(raised.value)).startswith(f"{path}: the disk fails ")


@pytest.mark.parametrize("number", sorted(image_file._OF_THE_SYSTEM), ids=errno.errorcode.get)
def test_an_error_of_the_system_is_explained_and_no_unreadable_image(
    number: int, tmp_path: Path
) -> None:
    path = tmp_path / "x.png"
    with pytest.raises(OSError, match=os.strerror(number)) as raised:
        FailingFile(number, path)[0]
    assert not isinstance(raised.value, UnreadableImageError)
    assert str(os_errors.explain(raised.value)).startswith(f"{path}: ")


class FailingDisk:
    """Opens images until the disk is gone."""

    def __init__(self, number: int, opened: int) -> None:
        self.number, self.left, self.open = number, opened, Image.open

    def __call__(self, path: object, *args: Any, **options: Any) -> Image.Image:
        self.left -= 1
        if self.left < 0:
            raise OSError(self.number, os.strerror(self.number), str(path))
        return self.open(path, *args, **options)


@pytest.mark.parametrize("opened", [0, 5, 30])
@pytest.mark.parametrize("number", OF_THE_SYSTEM)
def test_a_disk_that_is_gone_does_not_leave_images_out(
    number: int, opened: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, name in enumerate(("cat", "dog")):
        fill(tmp_path / name, 20, seed)
    data = ImageFolder(str(tmp_path), on_error="skip", image_size=8, batch_size=4, num_workers=0)
    data.prepare_data()
    monkeypatch.setattr(Image, "open", FailingDisk(number, opened))
    with pytest.raises(OSError, match=os.strerror(number)) as raised:  # noqa: PT012
        for _ in range(9):
            list(data.train_dataloader())
    assert OF_THE_SYSTEM[number] in str(os_errors.explain(raised.value))
    assert data.skipped == []


def test_a_limit_that_another_library_lifted_still_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    (tmp_path / "x.png").write_bytes(damaged_images.a_png_that_unpacks_to_gigabytes())
    with pytest.raises(UnreadableImageError, match="60000x60000 pixels, more than 178956970"):
        read_image(tmp_path / "x.png")


def test_pixels_that_are_more_than_the_header_says_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "x.png")

    def grow(file: Image.Image) -> None:
        file.im = Image.new("L", (99, 98)).im

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load_end", grow)
    monkeypatch.setattr(image_file, "MOST_PIXELS", 1000)
    with pytest.raises(UnreadableImageError, match="99x98 pixels, more than 1000"):
        read_image(tmp_path / "x.png")
    with pytest.raises(predict_images.UnreadableImageError, match="99x98 pixels, more than 1000"):
        predict_images.read_image(tmp_path / "x.png", 1000)


def test_an_icon_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "favicon.jpg").write_bytes(damaged_images.an_icon())
    with pytest.raises(UnreadableImageError, match="convert the file from ICO to PNG"):
        read_image(tmp_path / "favicon.jpg")
    with pytest.raises(predict_images.UnreadableImageError, match=r"decoded are AVIF, .*, WEBP$"):
        predict_images.read_image(tmp_path / "favicon.jpg")


def test_a_format_that_a_package_registers_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.init()
    monkeypatch.setattr(Image, "ID", [*Image.ID, "MIC"])
    monkeypatch.setitem(Image.OPEN, "MIC", Image.OPEN["PNG"])
    for uncached in (image_kind.formats.__wrapped__, predict_images.formats.__wrapped__):
        assert {"JPEG", "PNG"} <= set(uncached())
        assert not {"MIC", "EPS", "IPTC"} & set(uncached())


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_files_that_decoders_choke_on_are_trained_on_or_skipped(
    tmp_path: Path, workers: int, resize: str
) -> None:
    for seed, name in enumerate(("cat", "dog")):
        fill(tmp_path / name, 10, seed)
    for content in (*damaged_images.READABLE, *damaged_images.UNREADABLE):
        (tmp_path / "cat" / f"{content.__name__}.jpg").write_bytes(content())
    data = ImageFolder(
        str(tmp_path), on_error="skip", image_size=16, resize=resize, num_workers=workers,
        batch_size=1,  # a larger one would leave out the rest of an epoch
    )  # fmt: skip
    data.prepare_data()
    batches = [*data.train_dataloader(), *data.val_dataloader(), *data.test_dataloader()]
    assert {images.shape[1:] for images, _ in batches} == {(3, 16, 16)}
    assert {Path(path).stem for path in data.skipped} == {
        content.__name__ for content in damaged_images.UNREADABLE
    }
