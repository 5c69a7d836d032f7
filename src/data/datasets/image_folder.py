"""The user's own images: one folder per class."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from src.data.class_folders import Classes
from src.data.dataset import Photographs
from src.data.dataset_module import DatasetModule
from src.data.folder_layout import Layout, read_layout
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.split import HeldOutShare, Parts, Split, fill_in
from src.system.paths import user_path


@dataclass(eq=False)
class ImageFolderDataset(Photographs):
    """A folder with one folder per class, or with such folders in ``train/``, ``val/``, ``test/``.

    Class names are the names of the folders, sorted. If the folder of a split is missing, the split
    is drawn from ``train/`` (or from all images) by ``split_seed``, stratified. Splits may have
    other common names, such as ``Training`` or ``valid``: see :mod:`src.data.folder_layout`.

    Args:
        root: the folder.
        val_share: share of the images for validation, if there is no ``val/``; with ``train/``
            alone, of the images that are left after the test split.
        test_share: share of the images for testing, if there is no ``test/``.
        verify: decode every image before training, to find broken ones early; by default only if
            there are 10,000 images or fewer.
    """

    root: str
    val_share: HeldOutShare = 0.1
    test_share: HeldOutShare = 0.2
    verify: bool | None = None
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.folder = user_path(self.root, "data.root")

    @property
    def own_folder(self) -> Path:
        return self.folder

    @property
    def class_names(self) -> list[str]:
        return self._layout.class_names

    @property
    def notes(self) -> list[str]:
        return self._layout.notes

    def prepare(self) -> None:
        """List all images, so that an error in the folders is found before training.

        Raises:
            UsageError: a folder is missing or empty, or cannot be read.
        """
        _ = self._files or self._whole

    def load(self, split_seed: int) -> Parts[LabelledImages]:
        files = self._files
        return fill_in(
            self.named_splits() if files else {},
            files["train"] if files else self._whole,
            self.val_share,
            self.test_share,
            split_seed,
            self.class_names,
            every_class=self.every_class,
        )

    def named_splits(self) -> Parts[LabelledImages]:
        files = self._files or {"train": self._whole}
        return {split: (images, np.arange(len(images.paths))) for split, images in files.items()}

    @functools.cached_property
    def _layout(self) -> Layout:
        return read_layout(self.folder)

    @functools.cached_property
    def _files(self) -> dict[Split, ImageFiles]:
        """The splits that have folders of their own."""
        return {split: self._images(classes) for split, classes in self._layout.splits.items()}

    @functools.cached_property
    def _whole(self) -> ImageFiles:
        """All images, if there are no splits."""
        return self._images(self._layout.whole)

    def _images(self, classes: Classes) -> ImageFiles:
        paths: list[str] = []
        targets: list[int] = []
        for label, name in enumerate(self.class_names):
            files = classes[name].all_images() if name in classes else []
            paths += files
            targets += [label] * len(files)
        return ImageFiles(paths, targets)


class ImageFolder(DatasetModule, dataset=ImageFolderDataset):
    pass
