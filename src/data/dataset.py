"""Base classes of the data sets: classes, images in splits, and their augmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torchvision.transforms import v2

from src.data.loading import Loading
from src.data.pipeline.augmentation import crop_and_flip
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.split import Parts
from src.data.preprocessing import Preprocessing
from src.system.ranges import require_ranges


class Dataset(ABC):
    """Images with labels, in three splits.

    A subclass is a dataclass whose fields are the options of its own. Its module's name is the
    name of the data set.
    """

    loading: ClassVar[Loading] = Loading()
    """Defaults of the loading options."""

    licence: ClassVar[str] = "that of your own images"
    """Terms of use, for whoever gets a network that was trained on the images."""

    verify: bool | None = False
    """Decode every file before training; None for sets of 10,000 files or fewer."""

    def __post_init__(self) -> None:
        """Check the options' ranges, as a dataclass does after its constructor.

        Raises:
            UsageError: a number is out of its range.
        """
        require_ranges(self, "data")

    @property
    def name(self) -> str:
        """The data set's name: that of its module."""
        return type(self).__module__.rpartition(".")[2]

    @property
    @abstractmethod
    def class_names(self) -> list[str]:
        """The classes in label order; reads as little as it can."""

    @abstractmethod
    def load(self, split_seed: int) -> Parts[LabelledImages]:
        """Return each split as images and the positions in them, (n,).

        Args:
            split_seed: decides which image is in which split, where the data set does not.
        """

    @abstractmethod
    def augmentation(self, preprocessing: Preprocessing) -> v2.Transform:
        """Return training's random variations, the resizing included.

        Its input is an image of any size, its output one of ``preprocessing.image_size``.
        """

    def prepare(self) -> None:  # noqa: B027  # most data sets have nothing to prepare
        """Download what is missing, and check what can be checked without decoding images.

        Raises:
            UsageError: something is missing or wrong.
        """

    @property
    def notes(self) -> list[str]:
        """Lines for the user about files that were left out, for example."""
        return []


class Photographs(Dataset):
    """Photographs of any size, which are cropped and mirrored at random."""

    loading: ClassVar[Loading] = Loading(image_size=224, batch_size=32, resize="crop")

    def augmentation(self, preprocessing: Preprocessing) -> v2.Transform:
        return crop_and_flip(preprocessing.image_size)
