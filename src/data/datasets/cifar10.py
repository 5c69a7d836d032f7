"""CIFAR-10 (Krizhevsky, 2009): 60,000 images of 32x32 pixels, from torchvision."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import CIFAR10
from torchvision.transforms import v2

from src.data.dataset import Dataset
from src.data.dataset_module import DatasetModule
from src.data.download import downloaded
from src.data.loading import Loading
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.split import Parts, hold_out
from src.data.preprocessing import Preprocessing
from src.system.paths import user_path

_VAL_SHARE = 0.1


class CIFARImages:
    """One split of torchvision's data set in memory, 50,000 or 10,000 images."""

    def __init__(self, source: CIFAR10) -> None:
        self._source = source
        self.targets: NDArray[np.int64] = np.asarray(source.targets, dtype=np.int64)

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self._source.data[index])

    def name(self, index: int) -> str:
        return f"{type(self._source).__name__} {index}"


@dataclass(eq=False)
class CIFAR10Dataset(Dataset):
    """CIFAR-10 with its own test split. A tenth of its training split is for validation.

    Args:
        root: folder of the archive, packed or unpacked; it is downloaded there if it is missing.
    """

    loading: ClassVar[Loading] = Loading(
        batch_size=128, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)
    )
    licence: ClassVar[str] = "none stated; cite Krizhevsky, 2009"
    kind: ClassVar[type[CIFAR10]] = CIFAR10

    root: str = "data"
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.folder = user_path(self.root, "data.root")

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

    def prepare(self) -> None:
        """Download and unpack the archive, if that has not been done yet.

        Raises:
            UsageError: the archive is missing and cannot be downloaded.
        """
        downloaded(
            lambda: self.kind(str(self.folder), download=True),
            self.folder,
            {self.kind.filename: self.kind.url},
        )

    def load(self, split_seed: int) -> Parts[LabelledImages]:
        self.prepare()
        training = CIFARImages(self.kind(str(self.folder), train=True))
        test = CIFARImages(self.kind(str(self.folder), train=False))
        everything = np.arange(len(training.targets))
        kept, held_out = hold_out(everything, training.targets, _VAL_SHARE, split_seed)
        return {
            "train": (training, kept),
            "val": (training, held_out),
            "test": (test, np.arange(len(test.targets))),
        }

    def augmentation(self, preprocessing: Preprocessing) -> v2.Transform:
        return v2.Compose(
            [
                v2.RandomCrop(32, padding=4, padding_mode="reflect"),
                v2.RandomHorizontalFlip(),
                preprocessing.spatial(),
            ]
        )


class CIFAR10Data(DatasetModule, dataset=CIFAR10Dataset):
    pass
