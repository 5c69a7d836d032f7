"""CIFAR-100 (Krizhevsky, 2009): 60,000 images of 32x32 pixels in 100 classes, by torchvision."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from torchvision.datasets import CIFAR10, CIFAR100

from src.data.datasets.cifar10 import CIFAR10Data
from src.data.preprocessing import ResizeRule


class CIFAR100Data(CIFAR10Data):
    """CIFAR-100's fine classes, with its own test split; a tenth of its training split validates.

    Args:
        root: folder that holds the archive or what is in it; downloaded there when it is not.
    """

    kind: ClassVar[type[CIFAR10]] = CIFAR100

    def __init__(
        self,
        root: str = "data",
        image_size: int = 64,
        batch_size: int = 128,
        num_workers: int | None = None,
        resize: ResizeRule = "squash",
        mean: tuple[float, float, float] = (0.5071, 0.4865, 0.4409),
        std: tuple[float, float, float] = (0.2673, 0.2564, 0.2762),
        split_seed: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(
            root, image_size, batch_size, num_workers, resize, mean, std, split_seed, **shared
        )

    @functools.cached_property
    def class_names(self) -> list[str]:
        self.prepare_data()
        return list(self.kind(str(self.root), train=False).classes)
