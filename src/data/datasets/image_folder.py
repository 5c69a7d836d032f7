"""The user's own images: one folder a class."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torchvision.transforms import v2

from src.data.folder_layout import Classes, Layout, read_layout
from src.data.images import ImageDataModule
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_files import PictureFiles, require_readable
from src.data.pipeline.split import Parts, Split, fill_in, require_share
from src.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, ResizeRule
from src.system.paths import user_path


class ImageFolder(ImageDataModule):
    """A folder of class folders, or of ``train/``, ``val/`` and ``test/`` that hold them.

    Class names are the folders' names, sorted. Where a split's folder is missing, it is
    drawn from ``train/`` (or from all images) by ``split_seed``, stratified. Splits may have
    other names, as ``Training`` or ``valid``: see :mod:`src.data.folder_layout`.

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

    @property
    def class_names(self) -> list[str]:
        return self._layout.class_names

    @property
    def notes(self) -> list[str]:
        return self._layout.notes

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
    def _layout(self) -> Layout:
        return read_layout(self.root)

    @functools.cached_property
    def _listed(self) -> Parts[PictureFiles]:
        files = {split: self._images(classes) for split, classes in self._layout.splits.items()}
        given: Parts[PictureFiles] = {
            split: (images, np.arange(len(images.paths))) for split, images in files.items()
        }
        whole = files["train"] if files else self._images(self._layout.whole)
        return fill_in(
            given, whole, self.val_share, self.test_share, self.split_seed, self.class_names
        )

    def _images(self, classes: Classes) -> PictureFiles:
        paths: list[str] = []
        targets: list[int] = []
        for label, name in enumerate(self.class_names):
            files = classes[name].all_pictures() if name in classes else []
            paths += files
            targets += [label] * len(files)
        return PictureFiles(paths, targets)
