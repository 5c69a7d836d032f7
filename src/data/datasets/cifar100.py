"""CIFAR-100 (Krizhevsky, 2009): 60,000 images of 32x32 pixels in 100 classes, from torchvision."""

from __future__ import annotations

import functools
from typing import ClassVar

from torchvision.datasets import CIFAR10, CIFAR100

from src.data.dataset_module import DatasetModule
from src.data.datasets.cifar10 import CIFAR10Dataset
from src.data.loading import Loading


class CIFAR100Dataset(CIFAR10Dataset):
    """CIFAR-100 with its fine classes and its own test split.

    A tenth of its training split is for validation.

    Args:
        root: folder of the archive, packed or unpacked; it is downloaded there if it is missing.
    """

    loading: ClassVar[Loading] = Loading(
        batch_size=128, mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762)
    )
    kind: ClassVar[type[CIFAR10]] = CIFAR100

    @functools.cached_property
    def class_names(self) -> list[str]:
        self.prepare()
        return list(self.kind(str(self.folder), train=False).classes)


class CIFAR100Data(DatasetModule, dataset=CIFAR100Dataset):
    pass
