"""The LightningDataModule that every data set shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from src import machine
from src.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, ResizeRule
from src.data.split import Split
from src.errors import UsageError


class LabelledImages(Protocol):
    """A data set as its file sees it: pictures by position, and all labels at once."""

    targets: NDArray[np.int64]  # (N,)

    def image(self, index: int) -> Image.Image:
        """The picture at ``index``, RGB, of any size."""


class TransformedImages(Dataset[tuple[Tensor, int]]):
    """Some positions of a data set, seen through a transform."""

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

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        index = int(self.indices[position])
        return self.transform(self.images.image(index)), int(self.images.targets[index])


class ImageDataModule(LightningDataModule, ABC):
    """Images in three splits, with one evaluation preprocessing for all that comes after.

    A data set is a subclass that says what its classes are (``class_names``), where its
    images are (``load``) and how they are varied in training (``augmentation``).

    Args:
        image_size: side of the square input, in pixels.
        batch_size: images a step, in each process.
        num_workers: processes that load images; by default one a core, 8 at most.
        resize: ``squash`` both sides, or ``crop`` the middle.
        mean: subtracted per channel, on the [0, 1] scale.
        std: divided by per channel, on the [0, 1] scale.
        split_seed: decides which image is in which split, where the data set does not.
    """

    def __init__(
        self,
        image_size: int = 64,
        batch_size: int = 64,
        num_workers: int | None = None,
        resize: ResizeRule = "squash",
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        split_seed: int = 0,
    ) -> None:
        super().__init__()
        _require_positive("data.image_size", image_size)
        _require_positive("data.batch_size", batch_size)
        self.preprocessing = Preprocessing(image_size, resize, mean, std)
        self.batch_size = batch_size
        self.num_workers = min(machine.usable_cores(), 8) if num_workers is None else num_workers
        self.split_seed = split_seed
        self._parts: dict[Split, tuple[LabelledImages, NDArray[np.int64]]] | None = None

    @property
    def dataset_name(self) -> str:
        """The data set's name: that of its module."""
        return type(self).__module__.rpartition(".")[2]

    # On what terms the images may be used, as whoever gets a network trained on them must know.
    licence: ClassVar[str] = "that of your own images"

    @property
    @abstractmethod
    def class_names(self) -> list[str]:
        """The classes in label order; reads as little as it can."""

    @abstractmethod
    def load(self) -> dict[Split, tuple[LabelledImages, NDArray[np.int64]]]:
        """Each split as a data set and the positions in it; called once a process."""

    @abstractmethod
    def augmentation(self) -> v2.Transform:
        """Training's variations, the resizing included: picture in, ``image_size`` picture out."""

    def dataset(self, split: Split, *, augment: bool = False) -> TransformedImages:
        """One split, by evaluation's preprocessing or by training's augmentation."""
        if self._parts is None:
            self._parts = self.load()
        images, indices = self._parts[split]
        first = self.augmentation() if augment else self.preprocessing.spatial()
        transform = v2.Compose([first, self.preprocessing.to_tensor()])
        return TransformedImages(images, indices, transform)

    @property
    def origin(self) -> dict[str, Any]:
        """What is trained on, as plain values: name, number of images, licence."""
        return {
            "dataset": self.dataset_name,
            "images": self.count("train"),
            "licence": self.licence,
        }

    def count(self, split: Split) -> int:
        """How many images a split has."""
        return len(self.dataset(split))

    def batches(
        self, split: Split, batch_size: int = 64
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """All of a split once, in order, in evaluation's preprocessing.

        Unlike a Trainer's loader it is never sharded or padded, however many processes train.

        Yields:
            images (n, 3, H, W) and labels (n,), n <= ``batch_size``.
        """
        loader = DataLoader(
            self.dataset(split), batch_size=batch_size, num_workers=self.num_workers
        )
        for images, labels in loader:
            yield images.numpy(), labels.numpy()

    def calibration_images(self, count: int) -> Tensor:
        """At most ``count`` *training* images, (n, 3, H, W), in evaluation's preprocessing.

        Drawn by ``split_seed``, so that an export made again calibrates on the same images.
        """
        training = self.dataset("train")
        return torch.stack([training[position][0] for position in self._drawn()[:count]])

    def judging_images(self, calibration: int, count: int) -> tuple[Tensor, Tensor] | None:
        """At most ``count`` other *training* images, to choose a quantization by.

        They come after the first ``calibration`` in the order that calibration images are drawn
        in, so none is among these.

        Returns:
            images (n, 3, H, W) in evaluation's preprocessing and labels (n,); None if there are
            no others, or none were asked for.
        """
        training = self.dataset("train")
        positions = self._drawn()[calibration : calibration + count]
        if not positions:
            return None
        images, labels = zip(*(training[position] for position in positions), strict=True)
        return torch.stack(images), torch.tensor(labels)

    def _drawn(self) -> list[int]:
        """The positions of the training split in an order that ``split_seed`` decides."""
        order = np.random.default_rng(self.split_seed).permutation(self.count("train"))
        return [int(position) for position in order]

    def train_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        training = self.dataset("train", augment=True)
        return self._loader(
            training,
            shuffle=True,
            # A last batch of one image would break BatchNorm.
            drop_last=len(training) >= self.batch_size,
        )

    def val_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        return self._loader(self.dataset("val"))

    def test_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        return self._loader(self.dataset("test"))

    def predict_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        return self.test_dataloader()

    def _loader(self, dataset: TransformedImages, **options: Any) -> DataLoader[tuple[Tensor, int]]:
        return DataLoader(
            dataset,
            batch_size=self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            **options,
        )


def require_classes(argument: str, names: Sequence[str]) -> list[str]:
    """The class names, of which a classifier needs two.

    Raises:
        UsageError: there are fewer.
    """
    if len(names) < 2:  # noqa: PLR2004
        raise UsageError(
            argument,
            expected="at least 2 classes",
            found=f"{len(names)}: {', '.join(names) or 'none'}",
            remedy="give each class a folder of its own",
        )
    return list(names)


def _require_positive(argument: str, value: int) -> None:
    if value < 1:
        raise UsageError(
            argument,
            expected="a positive number",
            found=str(value),
            remedy=f"set for example {argument}=64",
        )
