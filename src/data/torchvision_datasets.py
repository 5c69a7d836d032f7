"""The published data sets of photographs that torchvision fetches: what theirs share."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torchvision.transforms import v2

from src.data.download import downloaded
from src.data.images import ImageDataModule
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_files import PictureFiles
from src.data.pipeline.split import Split, hold_out
from src.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, ResizeRule
from src.system.paths import user_path

_VAL_SHARE = 0.1

Files = tuple[Iterable[str | Path], Iterable[int]]  # paths, and their labels


class PublishedImages(ImageDataModule):
    """A data set of photographs with its own test split.

    Where it has no validation split, a tenth of its training split validates.

    Args:
        root: folder that holds the data set; downloaded there when it is not.
    """

    archives: ClassVar[dict[str, str]]  # what is downloaded, and from where

    def __init__(
        self,
        root: str = "data",
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

    @abstractmethod
    def source(self, split: str, *, download: bool = False) -> Any:
        """One of its splits, as torchvision has it."""

    @abstractmethod
    def splits(self) -> dict[Split, str]:
        """What torchvision calls the splits."""

    @abstractmethod
    def files(self, source: Any) -> Files:
        """The image files of torchvision's data set, and their labels.

        They are read by this project's own way to open an image. That torchvision keeps them in
        private attributes is why each data set says where.
        """

    def names(self, source: Any) -> list[str]:
        """The classes in label order."""
        return list(source.classes)

    @functools.cached_property
    def class_names(self) -> list[str]:
        self.prepare_data()
        return self.names(self.source(self.splits()["train"]))

    def prepare_data(self) -> None:
        """Download and unpack what is not there.

        Raises:
            UsageError: it cannot be downloaded.
        """
        downloaded(
            lambda: self.source(self.splits()["train"], download=True), self.root, self.archives
        )

    def load(self) -> dict[Split, tuple[LabelledImages, NDArray[np.int64]]]:
        self.prepare_data()
        found: dict[Split, tuple[LabelledImages, NDArray[np.int64]]] = {}
        for split, theirs in self.splits().items():
            paths, labels = self.files(self.source(theirs))
            images = PictureFiles([str(path) for path in paths], labels)
            found[split] = (images, np.arange(len(images.paths)))
        if "val" not in found:
            training, indices = found["train"]
            kept, held_out = hold_out(indices, training.targets, _VAL_SHARE, self.split_seed)
            found["train"], found["val"] = (training, kept), (training, held_out)
        return found

    def augmentation(self) -> v2.Transform:
        # The same as of one's own images.
        return v2.Compose(
            [
                v2.RandomResizedCrop(self.preprocessing.image_size, scale=(0.35, 1.0)),
                v2.RandomHorizontalFlip(),
            ]
        )
