"""Base classes of the data sets: class names, images in three splits, and augmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
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

    A subclass is a dataclass; its fields are the options of the data set. The name of its module is
    the name of the data set.
    """

    loading: ClassVar[Loading] = Loading()
    """Defaults of the loading options."""

    licence: ClassVar[str] = "that of your own images"
    """Terms of use of the images, which the users of a trained network need to know."""

    verify: bool | None = False
    """Decode every file before training; None for sets of 10,000 files or fewer."""

    every_class: bool = True
    """Draw splits that each have every class; False for a training that recorded no splits."""

    is_new_training: bool = True
    """Refuse splits that a training must not begin with; False for the data of an earlier one."""

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
    def own_folder(self) -> Path | None:
        """Folder of the user's own images, which may change; None for a published data set."""
        return None

    @property
    @abstractmethod
    def class_names(self) -> list[str]:
        """The classes in label order, if possible without loading any image."""

    @abstractmethod
    def load(self, split_seed: int) -> Parts[LabelledImages]:
        """Return the images of each split, and the positions of the split among them, (n,).

        Args:
            split_seed: seed of the splits that the data set does not define itself.
        """

    def named_splits(self) -> Parts[LabelledImages] | None:
        """Return all images by the splits that the data set itself names; nothing is drawn.

        All are ``train`` if it names none. None if an evaluation may use what :meth:`load` draws,
        as that of a published data set.
        """
        return None

    @abstractmethod
    def augmentation(self, preprocessing: Preprocessing) -> v2.Transform:
        """Return the augmentation of training images, including the resizing.

        Its input is an image of any size, its output an image of ``preprocessing.image_size``.
        """

    def prepare(self) -> None:  # noqa: B027  # most data sets have nothing to prepare
        """Download what is missing, and check what can be checked without decoding images.

        Raises:
            UsageError: something is missing or wrong.
        """

    @property
    def notes(self) -> list[str]:
        """Lines for the user, for example about files that were left out."""
        return []


class Photographs(Dataset):
    """Photographs of any size, which are cropped and mirrored at random."""

    loading: ClassVar[Loading] = Loading(image_size=224, batch_size=32, resize="crop")

    def augmentation(self, preprocessing: Preprocessing) -> v2.Transform:
        squash = preprocessing.resize == "squash"
        return crop_and_flip(
            preprocessing.image_size, squash=squash, interpolation=preprocessing.interpolation
        )
