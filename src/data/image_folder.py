"""The user's own images: one folder a class."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torchvision.transforms import v2

from src import machine
from src.data.images import ImageDataModule, LabelledImages, require_classes
from src.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, ResizeRule
from src.data.split import Split, hold_out, three_ways
from src.errors import UsageError, describe

_LARGEST_SHARE = 0.5  # of the images that may go to one of val and test
_SPLITS: tuple[Split, ...] = ("train", "val", "test")


class FolderImages:
    """Image files with the class of each; opened when asked for."""

    def __init__(self, paths: list[Path], targets: Iterable[int]) -> None:
        self.paths = paths
        self.targets: NDArray[np.int64] = np.fromiter(targets, dtype=np.int64)

    def image(self, index: int) -> Image.Image:
        return read_image(self.paths[index])


class ImageFolder(ImageDataModule):
    """A folder of class folders, or of ``train/``, ``val/`` and ``test/`` that hold them.

    Class names are the folders' names, sorted. Where a split's folder is missing, it is
    drawn from ``train/`` (or from all images) by ``split_seed``, stratified.

    Args:
        root: the folder.
        val_share: part of the images to validate on where there is no ``val/``.
        test_share: part of the images to test on where there is no ``test/``.
        verify: decode every image before training starts, so that a broken one is named
            then and not in the middle of an epoch.
    """

    def __init__(
        self,
        root: str,
        val_share: float = 0.1,
        test_share: float = 0.2,
        verify: bool = True,
        image_size: int = 224,
        batch_size: int = 32,
        num_workers: int | None = None,
        resize: ResizeRule = "crop",
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        split_seed: int = 0,
    ) -> None:
        super().__init__(image_size, batch_size, num_workers, resize, mean, std, split_seed)
        self.root = Path(root)
        self.val_share = _require_share("data.val_share", val_share)
        self.test_share = _require_share("data.test_share", test_share)
        self.verify = verify

    @functools.cached_property
    def class_names(self) -> list[str]:
        folder = self.root / "train" if self._has("train") else self.root
        return require_classes("data.root", [path.name for path in _folders(folder)])

    def prepare_data(self) -> None:
        """Look at every image once, so that what is wrong is known before training.

        Raises:
            UsageError: a folder is missing or empty, or an image cannot be decoded.
        """
        parts = self._list()
        if self.verify:
            paths = {id(images): images.paths for images, _ in parts.values()}
            with ThreadPoolExecutor(machine.usable_cores()) as pool:
                # Pillow decodes without the interpreter lock; list() raises the first error.
                list(pool.map(_decode, (path for each in paths.values() for path in each)))

    def load(self) -> dict[Split, tuple[LabelledImages, NDArray[np.int64]]]:
        return dict(self._list())

    def augmentation(self) -> v2.Transform:
        # ImageNet's standard pair, with a larger least crop, which suits small sets.
        return v2.Compose(
            [
                v2.RandomResizedCrop(self.preprocessing.image_size, scale=(0.35, 1.0)),
                v2.RandomHorizontalFlip(),
            ]
        )

    def _list(self) -> dict[Split, tuple[FolderImages, NDArray[np.int64]]]:
        if not self._has("train"):
            images = self._images(self.root)
            parts = three_ways(images.targets, self.val_share, self.test_share, self.split_seed)
            return {split: (images, indices) for split, indices in parts.items()}
        given = {split: self._images(self.root / split) for split in _SPLITS if self._has(split)}
        found = {split: (images, np.arange(len(images.paths))) for split, images in given.items()}
        training, rest = found["train"]
        shares: dict[Split, float] = {"test": self.test_share, "val": self.val_share}
        for split, share in shares.items():
            if split not in found:
                rest, held_out = hold_out(rest, training.targets, share, self.split_seed)
                found[split] = (training, held_out)
        found["train"] = (training, rest)
        return found

    def _images(self, folder: Path) -> FolderImages:
        classes = _folders(folder)
        names = [path.name for path in classes]
        if names != self.class_names:
            raise UsageError(
                "data.root",
                expected=f"the class folders {', '.join(self.class_names)} in {folder}",
                found=", ".join(names),
                remedy="give every split the same class folders",
            )
        extensions = Image.registered_extensions()
        paths: list[Path] = []
        targets: list[int] = []
        for label, path in enumerate(classes):
            files = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in extensions and not file.name.startswith(".")
            )
            if not files:
                raise UsageError(
                    "data.root",
                    expected="images in every class folder",
                    found=f"none in {path}",
                    remedy="add images or remove the folder",
                )
            paths += files
            targets += [label] * len(files)
        return FolderImages(paths, targets)

    def _has(self, split: str) -> bool:
        return (self.root / split).is_dir()


def read_image(path: Path) -> Image.Image:
    """The picture in a file, upright by its EXIF orientation, as RGB.

    Raises:
        UsageError: the file is not an image that Pillow can decode.
    """
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UsageError(
            str(path),
            expected="an image that Pillow can decode",
            found=describe(error),
            remedy="replace or remove the file",
        ) from error


def _decode(path: Path) -> None:
    read_image(path)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(
            path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
        )
    except OSError as error:
        raise UsageError(
            "data.root",
            expected="a folder of class folders",
            found=f"{folder} ({error.strerror})",
            remedy="set data.root=PATH",
        ) from error


def _require_share(argument: str, value: float) -> float:
    if not 0 < value < _LARGEST_SHARE:
        raise UsageError(
            argument,
            expected=f"a share between 0 and {_LARGEST_SHARE}",
            found=str(value),
            remedy=f"set for example {argument}=0.1",
        )
    return value
