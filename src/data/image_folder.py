"""The user's own images: one folder a class."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torchvision.transforms import v2

from src.data.classes import require_classes
from src.data.folder import class_folders, pictures_in, require_inside
from src.data.images import ImageDataModule
from src.data.picture_files import PictureFiles, require_readable
from src.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, ResizeRule
from src.data.split import SPLITS, Parts, Split, fill_in, require_share
from src.data.transformed import LabelledImages
from src.errors import UsageError
from src.paths import user_path


class ImageFolder(ImageDataModule):
    """A folder of class folders, or of ``train/``, ``val/`` and ``test/`` that hold them.

    Class names are the folders' names, sorted. Where a split's folder is missing, it is
    drawn from ``train/`` (or from all images) by ``split_seed``, stratified.

    Args:
        root: the folder.
        val_share: part of the images to validate on where there is no ``val/``.
        test_share: part of the images to test on where there is no ``test/``.
        verify: decode every image before training starts, so that a broken one is named
            then and not in the middle of an epoch; by default where there are 10,000 images or
            fewer.
    """

    def __init__(
        self,
        root: str,
        val_share: float = 0.1,
        test_share: float = 0.2,
        verify: bool | None = None,
        image_size: int = 224,
        batch_size: int = 32,
        num_workers: int | None = None,
        resize: ResizeRule = "crop",
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        split_seed: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(
            image_size, batch_size, num_workers, resize, mean, std, split_seed, **shared
        )
        self.root = user_path(root, "data.root")
        self.val_share = require_share("data.val_share", val_share)
        self.test_share = require_share("data.test_share", test_share)
        self.verify = verify

    @functools.cached_property
    def class_names(self) -> list[str]:
        folder = self.root / "train" if self._has("train") else self.root
        return require_classes("data.root", class_folders(folder, self.root))

    def prepare_data(self) -> None:
        """Look at every image once, so that what is wrong is known before training.

        Raises:
            UsageError: a folder is missing or empty, or an image cannot be decoded.
        """
        if self.on_error == "raise":
            sources = {id(images): images for images, _ in self._listed.values()}
            paths = [path for images in sources.values() for path in images.paths]
            require_readable(paths, self.verify)

    def load(self) -> dict[Split, tuple[LabelledImages, NDArray[np.int64]]]:
        return dict(self._listed)

    def augmentation(self) -> v2.Transform:
        # ImageNet's standard pair, with a larger least crop, which suits small sets.
        return v2.Compose(
            [
                v2.RandomResizedCrop(self.preprocessing.image_size, scale=(0.35, 1.0)),
                v2.RandomHorizontalFlip(),
            ]
        )

    @functools.cached_property
    def _listed(self) -> Parts[PictureFiles]:
        if not self._has("train"):
            given: Parts[PictureFiles] = {}
            whole = self._images(self.root)
        else:
            files = {split: self._images(self.root / split) for split in SPLITS if self._has(split)}
            given = {split: (files[split], np.arange(len(files[split].paths))) for split in files}
            whole = files["train"]
        return fill_in(given, whole, self.val_share, self.test_share, self.split_seed)

    def _images(self, folder: Path) -> PictureFiles:
        require_inside(str(folder), self.root)
        names = class_folders(folder, self.root)
        if names != self.class_names:
            raise UsageError(
                "data.root",
                expected=f"the class folders {', '.join(self.class_names)} in {folder}",
                found=", ".join(names),
                remedy="give every split the same class folders",
            )
        paths: list[str] = []
        targets: list[int] = []
        for label, name in enumerate(names):
            files = pictures_in(folder / name, self.root)
            if not files:
                raise UsageError(
                    "data.root",
                    expected="images in every class folder",
                    found=f"none in {folder / name}",
                    remedy="add images or remove the folder",
                )
            paths += files
            targets += [label] * len(files)
        return PictureFiles(paths, targets)

    def _has(self, split: str) -> bool:
        return (self.root / split).is_dir()
