"""A split of a data set as a DataLoader wants it, and what happens to pictures that are broken."""

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
    """A data set as its file sees it: pictures by position, and all labels at once."""

    targets: NDArray[np.int64]  # (N,)

    def image(self, index: int) -> Image.Image:
        """The picture at ``index``, RGB, of any size."""

    def name(self, index: int) -> str:
        """What to call the picture at ``index`` in a message: its path, if it has one."""


class TransformedImages(Dataset[tuple[Tensor, int]]):
    """Some positions of a data set, seen through a transform.

    By position, or by a draw of training's order, whose seed then decides what is random in the
    transform: whichever process loads the image, and whatever it has loaded before.
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
            return self._seen(drawn)
        with _seeded(drawn.seed):
            return self._seen(drawn.position)

    def _seen(self, position: int) -> tuple[Tensor, int]:
        index = int(self.indices[position])
        return self.transform(self.images.image(index)), int(self.images.targets[index])


class ForgivingImages(TransformedImages):
    """Gives the next picture in the place of one that cannot be read, and remembers which."""

    def __init__(
        self, images: LabelledImages, indices: NDArray[np.int64], transform: v2.Transform
    ) -> None:
        super().__init__(images, indices, transform)
        # In memory that the workers of a DataLoader share: a mark a picture, so that two workers
        # that meet the same one do not count it twice.
        self._unreadable = torch.zeros(len(indices), dtype=torch.uint8)
        self._unreadable.share_memory_()  # type: ignore[no-untyped-call]

    @property
    def skipped(self) -> list[str]:
        """The names of the pictures that could not be read so far."""
        marked = torch.nonzero(self._unreadable).flatten().tolist()
        return [self.images.name(int(self.indices[position])) for position in marked]

    def _seen(self, position: int) -> tuple[Tensor, int]:
        for step in range(len(self)):
            tried = (position + step) % len(self)
            try:
                return super()._seen(tried)
            except UnreadableImageError as error:
                self._unreadable[tried] = 1
                last = error
        raise last


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The CPU's generator seeded for a while, then as it was: a model may draw from it too."""
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
