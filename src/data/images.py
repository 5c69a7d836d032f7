"""The LightningDataModule of every data set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from src.data.cache.policy import Cache
from src.data.content_hash import sha256_of_images
from src.data.dataset import Dataset
from src.data.loading import Loading
from src.data.pipeline.augmentation import LEAST_CROP_SIDE, further, mixing
from src.data.pipeline.class_balance import class_weights, drawing_weights
from src.data.pipeline.dataset import ForgivingImages, LabelledImages, TransformedImages
from src.data.pipeline.image_files import PictureFiles, leave_out_unreadable, require_readable
from src.data.pipeline.loader import evaluation_loader, loader
from src.data.pipeline.resume_state import TrainingProgress
from src.data.pipeline.samplers import TrainingOrder, own_share
from src.data.pipeline.split import Parts, Split, require_trained
from src.data.preprocessing import Preprocessing
from src.errors import UsageError


class ImageDataModule(LightningDataModule):
    """Images in three splits, with one evaluation preprocessing for all that comes after.

    Args:
        dataset: the images, their classes and their augmentation.
        loading: how they are split, resized, varied and batched; by default as the data set
            has it.
    """

    def __init__(self, dataset: Dataset, loading: Loading | None = None) -> None:
        super().__init__()
        self.source = dataset
        self.loading = dataset.loading if loading is None else loading
        self.preprocessing = self.loading.preprocessing
        self.batch_size = self.loading.batch_size
        self.num_workers = self.loading.workers
        self._cache = Cache(
            self.loading.cache, self.loading.cache_dir, self.loading.cache_gigabytes
        )
        self._parts: Parts[LabelledImages] | None = None
        self._left_out: list[str] = []  # of the evaluation splits
        self._forgiving: ForgivingImages | None = None  # what training reads
        self._progress = TrainingProgress()

    @property
    def dataset_name(self) -> str:
        """The data set's name."""
        return self.source.name

    @property
    def class_names(self) -> list[str]:
        """The classes in label order; reads as little as it can."""
        return self.source.class_names

    @property
    def notes(self) -> list[str]:
        """Lines for the user about files that were left out, for example."""
        return self.source.notes

    def prepare_data(self) -> None:
        """Download what is missing, and find what is wrong before training.

        Raises:
            UsageError: something is missing or wrong, or an image cannot be decoded.
        """
        self.source.prepare()
        if self.loading.on_error == "raise" and self.source.verify is not False:
            require_readable(self.load(), self.source.verify)

    def load(self) -> Parts[LabelledImages]:
        """Return each split as images and the positions in them, (n,)."""
        return self.source.load(self.loading.split_seed)

    def dataset(self, split: Split, *, augment: bool = False) -> TransformedImages:
        """One split, by evaluation's preprocessing or by training's augmentation."""
        images, indices = self._part(split)
        first = self._variation() if augment else self.preprocessing.spatial()
        transform = v2.Compose([first, self.preprocessing.to_tensor()])
        if split == "train" and self.loading.on_error == "skip":
            return ForgivingImages(images, indices, transform)
        return TransformedImages(images, indices, transform)

    @property
    def origin(self) -> dict[str, Any]:
        """What is trained on, as plain values: name, number of images, licence."""
        return {
            "dataset": self.dataset_name,
            "images": self.count("train"),
            "licence": self.source.licence,
        }

    @property
    def skipped(self) -> list[str]:
        """The names of the images that could not be read so far, with ``on_error=skip``."""
        return [*self._left_out, *(self._forgiving.skipped if self._forgiving else [])]

    def class_weights(self) -> Tensor:
        """What an image of each class counts in the loss with ``balance=weights``, (K,)."""
        return class_weights(self.dataset("train").targets, len(self.class_names))

    def count(self, split: Split) -> int:
        """How many images a split has."""
        return len(self.dataset(split))

    def sha256(self, split: Split) -> str:
        """Return the hash of a split's images and labels: see :mod:`src.data.content_hash`."""
        images, indices = self._part(split)
        return sha256_of_images(images, indices, self.class_names)

    def smallest_batch(self, processes: int) -> int:
        """Images of the smallest batch that training sees, in each of ``processes``.

        Raises:
            UsageError: there are fewer images than processes.
        """
        images = self.count("train") // processes
        if not images:
            raise UsageError(
                "data",
                expected=f"at least {processes} training images, one for each process",
                found=str(self.count("train")),
                remedy="add images, or set fewer trainer.devices",
            )
        # The last batch of an epoch is dropped where it is not full, but for the only one.
        return min(images, self.batch_size)

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

    def unseen_images(self, count: int) -> Tensor:
        """At most ``count`` validation images, (n, 3, H, W), drawn by ``split_seed``."""
        validation = self.dataset("val")
        order = np.random.default_rng(self.loading.split_seed).permutation(len(validation))[:count]
        return torch.stack([validation[int(position)][0] for position in order])

    def _drawn(self) -> list[int]:
        """The positions of the training split in an order that ``split_seed`` decides."""
        order = np.random.default_rng(self.loading.split_seed).permutation(self.count("train"))
        return [int(position) for position in order]

    def train_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        """Augmented pictures as uint8: they are normalised on the device, a batch at once."""
        images, indices = self._part("train")
        if self.loading.fast_decode and isinstance(images, PictureFiles):
            images = images.shrunk(math.ceil(self.preprocessing.image_size / LEAST_CROP_SIDE))
        if self._cache.kind != "none":
            images = self._cached("train", images)
        transform = v2.Compose([self._variation(), v2.ToImage()])
        training = TransformedImages(images, indices, transform)
        if self.loading.on_error == "skip":
            training = self._forgiving = ForgivingImages(training.images, indices, transform)
        order = self._order(training)
        return loader(
            training,
            self.num_workers,
            batch_size=self.batch_size,
            sampler=order,
            # A last batch of one image would break BatchNorm.
            drop_last=len(order) >= self.batch_size,
        )

    def val_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        validation = self.dataset("val")
        if self._cache.kind != "none":
            # Of pictures that are looked at in one way only, this way is kept: to the same bits.
            validation.images = self._cached("val", validation.images, self.preprocessing)
            validation.transform = self.preprocessing.to_tensor()
        return self._evaluation_loader(validation)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        return self._evaluation_loader(self.dataset("test"))

    def predict_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        images = self.dataset("test")
        share = own_share(len(images), *self._processes())
        return loader(images, self.num_workers, batch_size=self.batch_size, sampler=share)

    def state_dict(self) -> dict[str, Any]:
        return {} if self.trainer is None else self._progress.save(self.trainer, self.batch_size)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._progress.load(state_dict)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if self.trainer is not None and self.trainer.training:
            self._progress.reseed(self.trainer)
        return batch

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> Any:
        """Normalise what comes as uint8, which is training's, and mix it."""
        images, labels = batch
        if images.dtype != torch.uint8:
            return batch
        images = self.preprocessing.normalised(images)
        mixed = mixing(self.loading.mixup, self.loading.cutmix, len(self.class_names))
        if mixed is not None:
            images, labels = mixed(images, labels)
        # The Trainer has converted the batch to its precision already, but for the integers.
        return [self.trainer.precision_plugin.convert_input(images), labels]  # type: ignore[union-attr]

    def _part(self, split: Split) -> tuple[LabelledImages, NDArray[np.int64]]:
        if self._parts is None:
            parts = self.load()
            require_trained(parts, self.class_names)
            self._parts = parts
            if self.loading.on_error == "skip":
                self._left_out += leave_out_unreadable(parts)
        return self._parts[split]

    def _variation(self) -> v2.Transform:
        if self.loading.augment == "none":
            return self.preprocessing.spatial()
        own = self.source.augmentation(self.preprocessing)
        return v2.Compose([own, *further(self.loading.augment)])

    def _order(self, training: TransformedImages) -> TrainingOrder:
        rank, processes = self._processes()
        weights = None
        if self.loading.balance == "sampler":
            weights = drawing_weights(training.targets, len(self.class_names))
        order = TrainingOrder(len(training), self._progress.seed, rank, processes, weights)
        return self._progress.begin(order, self.batch_size * processes)

    def _evaluation_loader(self, dataset: TransformedImages) -> DataLoader[tuple[Tensor, int]]:
        return evaluation_loader(dataset, self.num_workers, self.batch_size, *self._processes())

    def _processes(self) -> tuple[int, int]:
        """The rank of this process, and how many there are."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _cached(
        self, split: Split, images: LabelledImages, resize: Preprocessing | None = None
    ) -> LabelledImages:
        return self._cache.keep(
            split,
            images,
            self._part(split)[1],
            resize,
            forgiving=self.loading.on_error == "skip",
            processes=1 if self.trainer is None else self.trainer.num_devices,
        )
