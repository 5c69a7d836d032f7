"""Torch data sets of one split, with a transform; one of them skips unreadable images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from src.data.pipeline.image_file import UnreadableImageError
from src.data.pipeline.samplers import Draw


class LabelledImages(Protocol):
    """Images by position, and all labels at once."""

    targets: NDArray[np.int64]  # (N,)

    def image(self, index: int) -> Image.Image:
        """Return the image at ``index`` in RGB, of any size."""

    def name(self, index: int) -> str:
        """Return the name of the image at ``index`` for messages: its path, if it has one."""


class TransformedDataset(Dataset[tuple[Tensor, int]]):
    """Images at some positions of a data set, after a transform.

    The key of an item is its position, or a :class:`Draw` of training. The seed of a draw is the
    seed of the transform, so the result depends neither on other images nor on the process.
    """

    def __init__(
        self, images: LabelledImages, indices: NDArray[np.int64], transform: v2.Transform
    ) -> None:
        self.images = images
        self.indices = indices
        self.transform = transform

    @property
    def targets(self) -> NDArray[np.int64]:
        """The labels, (N,), in this data set's order."""
        return self.images.targets[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, drawn: int | Draw) -> tuple[Tensor, int]:
        if not isinstance(drawn, Draw):
            return self._item(drawn)
        with _seeded(drawn.seed):
            return self._item(drawn.position)

    def _item(self, position: int) -> tuple[Tensor, int]:
        index = int(self.indices[position])
        return self.transform(self.images.image(index)), int(self.images.targets[index])


class SkippingDataset(TransformedDataset):
    """Data set that replaces an unreadable image by the next one, and records it."""

    def __init__(
        self, images: LabelledImages, indices: NDArray[np.int64], transform: v2.Transform
    ) -> None:
        super().__init__(images, indices, transform)
        # One byte per image in memory that all workers share, so that an image that two workers
        # read counts once.
        self._unreadable = torch.zeros(len(indices), dtype=torch.uint8)
        self._unreadable.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def skipped(self) -> list[str]:
        """Names of the images that could not be read so far."""
        marked = torch.nonzero(self._unreadable).flatten().tolist()
        return [self.images.name(int(self.indices[position])) for position in marked]

    def _item(self, position: int) -> tuple[Tensor, int]:
        for step in range(len(self)):
            candidate = (position + step) % len(self)
            try:
                return super()._item(candidate)
            except UnreadableImageError as error:
                self._unreadable[candidate] = 1
                last_error = error
        raise last_error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the CPU's generator in a block and restore its state after it, for other users of it."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
