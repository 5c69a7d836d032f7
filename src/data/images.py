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
from src.data.pinned_splits import PinnedSplits
from src.data.pipeline.augmentation import LEAST_CROP_SIDE, batch_mixing, varied
from src.data.pipeline.class_balance import class_weights, sampling_weights
from src.data.pipeline.dataset import LabelledImages, SkippingDataset, TransformedDataset
from src.data.pipeline.image_files import ImageFiles, leave_out_unreadable, require_readable
from src.data.pipeline.loader import evaluation_loader, loader, training_loader
from src.data.pipeline.resume_state import ResumeState
from src.data.pipeline.samplers import TrainingSampler, positions_of_process
from src.data.pipeline.split import Parts, Split, require_trained
from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.run.facts import Origin


class ImageDataModule(LightningDataModule):
    """Images in three splits, with one evaluation preprocessing for all later stages.

    Args:
        dataset: the images, classes and augmentation.
        loading: options of splits, preprocessing and batches; by default those of the data set.
    """

    def __init__(self, dataset: Dataset, loading: Loading | None = None) -> None:
        super().__init__()
        self.source = dataset
        options = self.loading = dataset.loading if loading is None else loading
        self.preprocessing = options.preprocessing
        self.batch_size = options.batch_size
        self._cache = Cache(options.cache, options.cache_dir, options.cache_gigabytes)
        self.pinned: PinnedSplits | None = None  # the splits of an earlier training
        self._parts: Parts[LabelledImages] | None = None
        self._left_out: list[str] = []  # names of unreadable images of the evaluation splits
        self._skipping: SkippingDataset | None = None  # the training split, with on_error=skip
        self._resume_state = ResumeState()
        self.resumed_at = self._resume_state.position  # for the schedule of the learning rate

    @property
    def num_workers(self) -> int:
        """Number of processes that load images in this process, of those that train here."""
        return self.loading.workers(self.trainer.num_devices if self.trainer else 1)

    @property
    def dataset_name(self) -> str:
        """The data set's name."""
        return self.source.name

    @property
    def class_names(self) -> list[str]:
        """The classes in label order, if possible without loading any image."""
        return self.source.class_names

    @property
    def notes(self) -> list[str]:
        """Lines for the user, for example about files that were left out."""
        return [*self.source.notes, *(self.pinned.notes if self.pinned else [])]

    def prepare_data(self) -> None:
        """Download missing files, and check the data before training.

        Raises:
            UsageError: the data are missing or not valid, or an image cannot be decoded.
        """
        self.source.prepare()
        if self.loading.on_error == "raise" and self.source.verify is not False:
            require_readable(self.load(), self.source.verify)

    def load(self) -> Parts[LabelledImages]:
        """Return the images of each split, and the positions of the split among them, (n,)."""
        seed = self.loading.split_seed
        return self.pinned.applied(self.source, seed) if self.pinned else self.source.load(seed)

    def loaded(self) -> Parts[LabelledImages]:
        """Return what :meth:`load` does, without loading again what is there."""
        return self.load() if self._parts is None else self._parts

    def dataset(self, split: Split, *, augment: bool = False) -> TransformedDataset:
        """Return one split with the preprocessing of the evaluation, or with augmentation."""
        images, indices = self._part(split)
        spatial = self._augmentation() if augment else self.preprocessing.spatial()
        transform = v2.Compose([spatial, self.preprocessing.to_tensor()])
        skips = split == "train" and self.loading.on_error == "skip"
        return (SkippingDataset if skips else TransformedDataset)(images, indices, transform)

    @property
    def origin(self) -> Origin:
        """The training data: name, number of images, licence."""
        return Origin(
            dataset=self.dataset_name, images=self.count("train"), licence=self.source.licence
        )

    @property
    def skipped(self) -> list[str]:
        """Names of the images that could not be read so far, with ``on_error=skip``."""
        return [*self._left_out, *(self._skipping.skipped if self._skipping else [])]

    def class_weights(self) -> Tensor:
        """Return the loss weight of each class with ``balance=weights``, (K,)."""
        return class_weights(self.dataset("train").targets, len(self.class_names))

    def count(self, split: Split) -> int:
        """Return the number of images of a split."""
        return len(self.dataset(split))

    def sha256(self, split: Split) -> str:
        """Return the hash of a split's images and labels: see :mod:`src.data.content_hash`."""
        images, indices = self._part(split)
        return sha256_of_images(images, indices, self.class_names)

    def smallest_batch(self, processes: int) -> int:
        """Return the size of the smallest training batch in each of ``processes``.

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
        # The last batch of an epoch is dropped if it is not full, unless it is the only one.
        return min(images, self.batch_size)

    def batches(
        self, split: Split, batch_size: int = 64
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Yield a whole split once, in order, with the preprocessing of the evaluation.

        Unlike the loaders of a Trainer it is never sharded or padded.

        Yields:
            images (n, 3, H, W) and labels (n,), n <= ``batch_size``.
        """
        batches = loader(
            self.dataset(split),
            self.num_workers,
            batch_size=batch_size,
            persistent_workers=False,
            pin_memory=False,
        )
        for images, labels in batches:
            yield images.numpy(), labels.numpy()

    def calibration_images(self, count: int) -> Tensor:
        """Return at most ``count`` *training* images, preprocessed as for evaluation, (n, 3, H, W).

        They are drawn by ``split_seed``, so that a repeated export calibrates on the same images.
        """
        training = self.dataset("train")
        return torch.stack([training[position][0] for position in self._drawn()[:count]])

    def judging_images(self, calibration: int, count: int) -> tuple[Tensor, Tensor] | None:
        """Return at most ``count`` selection images: further *training* images with their labels.

        A quantization recipe is chosen by them. In the order of ``split_seed`` they follow the
        ``calibration`` images, so that no image is in both.

        Returns:
            images (n, 3, H, W) in the preprocessing of the evaluation, and labels (n,); None if
            there are no further images, or ``count`` is 0.
        """
        training = self.dataset("train")
        positions = self._drawn()[calibration : calibration + count]
        if not positions:
            return None
        images, labels = zip(*(training[position] for position in positions), strict=True)
        return torch.stack(images), torch.tensor(labels)

    def unseen_images(self, count: int) -> Tensor:
        """Return at most ``count`` validation images, (n, 3, H, W), drawn by ``split_seed``."""
        validation = self.dataset("val")
        order = np.random.default_rng(self.loading.split_seed).permutation(len(validation))[:count]
        return torch.stack([validation[int(position)][0] for position in order])

    def _drawn(self) -> list[int]:
        """Return the positions of the training split in a random order by ``split_seed``."""
        order = np.random.default_rng(self.loading.split_seed).permutation(self.count("train"))
        return [int(position) for position in order]

    def train_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        """Return batches of augmented uint8 images, which are normalised on the device."""
        images, indices = self._part("train")
        if self.loading.fast_decode and isinstance(images, ImageFiles):
            images = images.shrunk(math.ceil(self.preprocessing.image_size / LEAST_CROP_SIDE))
        if self._cache.kind != "none":
            images = self._cached("train", images)
        transform = v2.Compose([self._augmentation(), v2.ToImage()])
        training = TransformedDataset(images, indices, transform)
        if self.loading.on_error == "skip":
            training = self._skipping = SkippingDataset(training.images, indices, transform)
        sampler = self._training_sampler(training)
        return training_loader(training, self.num_workers, self.batch_size, sampler, self.trainer)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        validation = self.dataset("val")
        if self._cache.kind != "none":
            # Validation has no augmentation, so the resized image is cached, with the same pixels.
            validation.images = self._cached("val", validation.images, self.preprocessing)
            validation.transform = self.preprocessing.to_tensor()
        return self._evaluation_loader(validation)

    def test_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        return self._evaluation_loader(self.dataset("test"))

    def predict_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        images = self.dataset("test")
        share = positions_of_process(len(images), *self._processes())
        return loader(images, self.num_workers, batch_size=self.batch_size, sampler=share)

    def state_dict(self) -> dict[str, Any]:
        return (
            {} if self.trainer is None else self._resume_state.save(self.trainer, self.batch_size)
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._resume_state.load(state_dict)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        if self.trainer is not None and self.trainer.training:
            self._resume_state.reseed(self.trainer)
        return batch

    def on_after_batch_transfer(self, batch: tuple[Tensor, Tensor], dataloader_idx: int) -> Any:
        """Normalise and mix the batches of training, which are uint8."""
        images, labels = batch
        if images.dtype != torch.uint8:
            return batch
        images = self.preprocessing.normalised(images)
        mixed = batch_mixing(self.loading.mixup, self.loading.cutmix, len(self.class_names))
        if mixed is not None:
            images, labels = mixed(images, labels)
        # The Trainer has converted the batch to its precision, except integers such as uint8.
        return [self.trainer.precision_plugin.convert_input(images), labels]  # type: ignore[union-attr]

    def _part(self, split: Split) -> tuple[LabelledImages, NDArray[np.int64]]:
        if self._parts is None:
            parts = self.load()
            if self.pinned is None or self.pinned.evaluated is None:
                require_trained(parts, self.class_names)
            self._parts = parts
            if self.loading.on_error == "skip":
                self._left_out += leave_out_unreadable(parts)
        return self._parts[split]

    def _augmentation(self) -> v2.Transform:
        if self.loading.augment == "none":
            return self.preprocessing.spatial()
        default = self.source.augmentation(self.preprocessing)
        return varied(default, self.loading.augment, flip=self.loading.flip)

    def _training_sampler(self, training: TransformedDataset) -> TrainingSampler:
        rank, processes = self._processes()
        weights = None
        if self.loading.balance == "sampler":
            weights = sampling_weights(training.targets, len(self.class_names))
        sampler = TrainingSampler(len(training), self._resume_state.seed, rank, processes, weights)
        return self._resume_state.begin(sampler, self.batch_size * processes)

    def _evaluation_loader(self, dataset: TransformedDataset) -> DataLoader[tuple[Tensor, int]]:
        return evaluation_loader(dataset, self.num_workers, self.batch_size, self.trainer)

    def _processes(self) -> tuple[int, int]:
        """Return the rank of this process, and the number of processes."""
        trainer = self.trainer
        return (trainer.global_rank, trainer.world_size) if trainer else (0, 1)

    def _cached(
        self, split: Split, images: LabelledImages, resize: Preprocessing | None = None
    ) -> LabelledImages:
        return self._cache.keep(
            split,
            images,
            self._part(split)[1],
            resize,
            skip_unreadable=self.loading.on_error == "skip",
            processes=1 if self.trainer is None else self.trainer.num_devices,
        )
