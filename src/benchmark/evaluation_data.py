"""The images and labels that a measurement needs, whatever data set they come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from src.data.pipeline.encoded import ImagesOfSplit
from src.data.pipeline.split import Split


class EvaluationData(Protocol):
    """Images and labels that rows are checked and scored on."""

    @property
    def dataset_name(self) -> str: ...

    @property
    def class_names(self) -> list[str]: ...

    def count(self, split: Split) -> int:
        """Return the number of images of a split."""

    def batches(
        self, split: Split, batch_size: int = 64
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Yield a split once, in order: images (n, 3, H, W) and labels (n,)."""

    def sha256(self, split: Split) -> str:
        """Return a hash of a split's images and labels, before any preprocessing."""

    def dataset(self, split: Split) -> ImagesOfSplit:
        """Return a split's images; used only if pipelines are timed."""
