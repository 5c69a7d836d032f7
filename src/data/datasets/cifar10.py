"""CIFAR-10 (Krizhevsky, 2009): 60,000 images of 32x32 pixels, by torchvision."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import CIFAR10
from torchvision.transforms import v2

from src.data.download import downloaded
from src.data.images import ImageDataModule
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.split import Split, hold_out
from src.data.preprocessing import ResizeRule
from src.system.paths import user_path

_VAL_SHARE = 0.1


class CIFARImages:
    """torchvision's data set in memory, 50,000 or 10,000 images."""

    def __init__(self, source: CIFAR10) -> None:
        self._source = source
        self.targets: NDArray[np.int64] = np.asarray(source.targets, dtype=np.int64)

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self._source.data[index])

    def name(self, index: int) -> str:
        return f"{type(self._source).__name__} {index}"


class CIFAR10Data(ImageDataModule):
    """CIFAR-10 with its own test split; a tenth of its training split validates.

    Args:
        root: folder that holds the archive or what is in it; downloaded there when it is not.
    """

    licence: ClassVar[str] = "none stated; cite Krizhevsky, 2009"
    kind: ClassVar[type[CIFAR10]] = CIFAR10

    def __init__(
        self,
        root: str = "data",
        image_size: int = 64,
        batch_size: int = 128,
        num_workers: int | None = None,
        resize: ResizeRule = "squash",
        mean: tuple[float, float, float] = (0.4914, 0.4822, 0.4465),
        std: tuple[float, float, float] = (0.2470, 0.2435, 0.2616),
        split_seed: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(
            image_size, batch_size, num_workers, resize, mean, std, split_seed, **shared
        )
        self.root = user_path(root, "data.root")

    @property
    def class_names(self) -> list[str]:
        return [
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ]

    def prepare_data(self) -> None:
        """Download or unpack the archive where that has not been done.

        Raises:
            UsageError: the archive is not there and cannot be downloaded.
        """
        downloaded(
            lambda: self.kind(str(self.root), download=True),
            self.root,
            {self.kind.filename: self.kind.url},
        )

    def load(self) -> dict[Split, tuple[LabelledImages, NDArray[np.int64]]]:
        self.prepare_data()
        training = CIFARImages(self.kind(str(self.root), train=True))
        test = CIFARImages(self.kind(str(self.root), train=False))
        everything = np.arange(len(training.targets))
        kept, held_out = hold_out(everything, training.targets, _VAL_SHARE, self.split_seed)
        return {
            "train": (training, kept),
            "val": (training, held_out),
            "test": (test, np.arange(len(test.targets))),
        }

    def augmentation(self) -> v2.Transform:
        return v2.Compose(
            [
                v2.RandomCrop(32, padding=4, padding_mode="reflect"),
                v2.RandomHorizontalFlip(),
                v2.Resize((self.preprocessing.image_size, self.preprocessing.image_size)),
            ]
        )
