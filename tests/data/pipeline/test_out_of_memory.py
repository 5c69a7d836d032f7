"""Memory that runs out while an image is decoded: the image is not broken."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from torch.utils.data import DataLoader

from src.data.check.contact_sheet import ContactSheet
from src.data.check.survey import survey
from src.data.datasets.image_folder import ImageFolder
from src.data.pipeline import encoded
from src.data.pipeline.image_file import read_image
from src.data.pipeline.image_files import ImageFiles, readable
from src.predict.images import batches
from src.shipped import predict_images
from src.system import os_errors
from tests.data.datasets.test_image_folder import fill

RAISED: dict[str, Callable[[], Exception]] = {
    "MemoryError": MemoryError,
    "ENOMEM": lambda: OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
}
# The functions that may take memory, as Pillow calls them for a JPEG.
PLACES = (
    "PIL.Image.open",
    "PIL.JpegImagePlugin.JpegImageFile.load",
    "PIL.JpegImagePlugin.JpegImageFile.getexif",
    "PIL.Image.Image.transpose",
)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A grey photo that is turned by its EXIF data."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (9, 8)).save(tmp_path / "it's 猫.jpg", exif=exif)
    return tmp_path / "it's 猫.jpg"


class Failing:
    """Fails from some call on; before that, it calls the function that it stands for."""

    def __init__(self, place: Any, make: Callable[[], Exception], left: int = 0) -> None:
        self.place, self.make, self.left = place, make, left

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise self.make()
        return self.place(*args, **options)


@pytest.mark.parametrize("raised", RAISED)
@pytest.mark.parametrize("place", PLACES)
def test_memory_that_runs_out_anywhere_does_not_make_an_image_unreadable(
    place: str, raised: str, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RAISED[raised]()
    if raised == "ENOMEM" and place.endswith("getexif"):
        pytest.skip("it reads what is in memory already")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(place, fail)
    with pytest.raises(MemoryError) as caught:
        read_image(photo)
    assert os_errors.explain(caught.value) == (
        f"out of memory: {photo} cannot be decoded in the memory that is left"
    )
    with pytest.raises(MemoryError, match="not enough memory to decode it"):
        predict_images.read_image(photo)
    with pytest.raises(MemoryError):
        encoded._require_readable(photo.read_bytes(), "photo")


@pytest.mark.parametrize("opened", [0, 5, 30])
@pytest.mark.parametrize("raised", RAISED)
def test_sound_images_are_not_left_out_where_memory_runs_out(
    raised: str, opened: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed, name in enumerate(("cat", "dog")):
        fill(tmp_path / name, 20, seed)
    data = ImageFolder(str(tmp_path), on_error="skip", image_size=8, batch_size=4, num_workers=0)
    data.prepare_data()
    monkeypatch.setattr(Image, "open", Failing(Image.open, RAISED[raised], opened))
    with pytest.raises(MemoryError):  # noqa: PT012
        for _ in range(9):
            list(data.train_dataloader())
    assert data.skipped == []
    images, indices = data.load()["test"]
    assert isinstance(images, ImageFiles)
    with pytest.raises(MemoryError):
        readable(images, indices)
    with pytest.raises(MemoryError):
        survey(data, ContactSheet(data.class_names, data.preprocessing), lambda *_: None)


def test_a_process_that_loads_images_hands_the_error_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "cat", 4, 0)
    images = ImageFiles([str(path) for path in (tmp_path / "cat").iterdir()], range(4))
    monkeypatch.setattr(Image, "open", Failing(Image.open, MemoryError))

    class Sizes:
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> int:
            return images.image(index).width

    with pytest.raises(MemoryError) as caught:
        list(DataLoader(Sizes(), num_workers=1))  # type: ignore[arg-type]
    assert str(os_errors.explain(caught.value)).startswith("out of memory: ")


def test_a_prediction_says_that_memory_ran_out(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "open", Failing(Image.open, MemoryError))
    [[image]] = batches([photo], lambda image: image, 1)
    assert str(image.problem) == (
        f"{photo}: expected memory to decode it; found MemoryError: {photo} cannot be decoded in "
        "the memory that is left; end other programs"
    )
