"""Images of random pixels, in place of a data set where figures don't depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from src.data.preprocessing import Preprocessing
from src.run.facts import Origin

CLASSES = 10


class RandomImages:
    """Images of normally distributed pixels, for exports and measurements without a data set."""

    dataset_name = "random images"
    class_names: ClassVar = [str(number) for number in range(CLASSES)]
    origin = Origin(dataset="random images", images=64)

    def __init__(self, side: int) -> None:
        self.preprocessing = Preprocessing(side)

    def images(self, count: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(count, 3, *[self.preprocessing.image_size] * 2, generator=generator)

    def calibration_images(self, count: int) -> Tensor:
        return self.images(min(count, 16), 0)

    def judging_images(self, calibration: int, count: int) -> None:
        return None

    def unseen_images(self, count: int) -> Tensor:
        return self.images(min(count, 8), 1)

    def count(self, split: str) -> int:
        return 8

    def batches(
        self, split: str, batch_size: int = 64
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        yield self.images(8, 2 if split == "val" else 3).numpy(), np.arange(8)

    def sha256(self, split: str) -> str:
        return split
