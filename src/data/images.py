"""The LightningDataModule that every data set shares."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from src.data.cache.policy import Cache, CacheKind
from src.data.content_hash import sha256_of_images
from src.data.pipeline.augmentation import Augment, further, mixing
from src.data.pipeline.class_balance import Balance, class_weights, drawing_weights
from src.data.pipeline.dataset import ForgivingImages, LabelledImages, TransformedImages
from src.data.pipeline.image_files import PictureFiles, readable
from src.data.pipeline.loader import evaluation_loader, loader
from src.data.pipeline.resume_state import TrainingProgress
from src.data.pipeline.samplers import TrainingOrder, own_share
from src.data.pipeline.split import Split, require_trained
from src.data.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Interpolation,
    Preprocessing,
    ResizeRule,
)
from src.errors import UsageError
from src.run.preprocessing_steps import CROP_SHARE
from src.system import machine

# raise: the first image that cannot be read ends the training, and is named.
# skip: training takes the next one in its place, evaluation leaves it out; they are counted.
OnError = Literal["raise", "skip"]

_SEEDS = 2**32  # of NumPy and scikit-learn
# Of a picture's side that the smallest of training's crops shows, as a rule: see
# ImageFolder.augmentation. A picture that is decoded smaller still fills the crop.
_LEAST_SIDE = math.sqrt(0.35)


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
        interpolation: of the resizing.
        crop_share: of the resized picture's side that ``crop`` leaves.
        augment: how training varies a picture beyond what the data set says.
        mixup: alpha by which two pictures of a training batch are blended; 0 for none.
        cutmix: alpha by which a part of a training picture is taken from another; 0 for none.
        balance: what evens out classes of uneven size.
        on_error: what happens when an image cannot be read.
        cache: keep the decoded pictures of training and validation, in memory or on disk.
        cache_dir: gets a folder ``lightship-pictures`` for those on disk; by default ``~/.cache``.
        cache_gigabytes: that all pictures in it may take, those of other data included; by
            default 50. The least recently used make room.
        fast_decode: let training decode a large JPEG at a fraction of its size.
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
        interpolation: Interpolation = "bilinear",
        crop_share: float = CROP_SHARE,
        augment: Augment = "default",
        mixup: float = 0.0,
        cutmix: float = 0.0,
        balance: Balance = "none",
        on_error: OnError = "raise",
        cache: CacheKind = "none",
        cache_dir: str | None = None,
        cache_gigabytes: float | None = None,
        fast_decode: bool = False,
    ) -> None:
        super().__init__()
        _require_positive("data.image_size", image_size)
        _require_positive("data.batch_size", batch_size)
        if num_workers is not None and num_workers < 0:
            raise UsageError(
                "data.num_workers",
                expected="a number of processes, or 0 to load images in this one",
                found=str(num_workers),
                remedy="leave it out for one a core",
            )
        if not all(each > 0 for each in std):
            raise UsageError(
                "data.std",
                expected="three numbers above 0, which images are divided by",
                found=str(list(std)),
                remedy="leave it out for ImageNet's",
            )
        if not 0 <= split_seed < _SEEDS:
            raise UsageError(
                "data.split_seed",
                expected=f"a number from 0 up to {_SEEDS - 1}",
                found=str(split_seed),
                remedy="leave it out for 0",
            )
        if not 0 < crop_share <= 1:
            raise UsageError(
                "data.crop_share",
                expected="a share above 0 and up to 1",
                found=str(crop_share),
                remedy="leave it out for 0.875",
            )
        mixing(mixup, cutmix, 2)  # says what is wrong with them now
        self.preprocessing = Preprocessing(image_size, resize, mean, std, interpolation, crop_share)
        self.augment = augment
        self.mixup = mixup
        self.cutmix = cutmix
        self.balance = balance
        self.on_error = on_error
        self._cache = Cache(cache, cache_dir, cache_gigabytes)
        self.fast_decode = fast_decode
        self.batch_size = batch_size
        self.num_workers = min(machine.usable_cores(), 8) if num_workers is None else num_workers
        self.split_seed = split_seed
        self._parts: dict[Split, tuple[LabelledImages, NDArray[np.int64]]] | None = None
        self._left_out: list[str] = []  # of the evaluation splits
        self._forgiving: ForgivingImages | None = None  # what training reads
        self._progress = TrainingProgress()

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
        images, indices = self._part(split)
        first = self._variation() if augment else self.preprocessing.spatial()
        transform = v2.Compose([first, self.preprocessing.to_tensor()])
        if split == "train" and self.on_error == "skip":
            return ForgivingImages(images, indices, transform)
        return TransformedImages(images, indices, transform)

    @property
    def origin(self) -> dict[str, Any]:
        """What is trained on, as plain values: name, number of images, licence."""
        return {
            "dataset": self.dataset_name,
            "images": self.count("train"),
            "licence": self.licence,
        }

    @property
    def notes(self) -> list[str]:
        """What a user should know of how the images were found, a line each."""
        return []

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
        order = np.random.default_rng(self.split_seed).permutation(len(validation))[:count]
        return torch.stack([validation[int(position)][0] for position in order])

    def _drawn(self) -> list[int]:
        """The positions of the training split in an order that ``split_seed`` decides."""
        order = np.random.default_rng(self.split_seed).permutation(self.count("train"))
        return [int(position) for position in order]

    def train_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        """Augmented pictures as uint8: they are normalised on the device, a batch at once."""
        images, indices = self._part("train")
        if self.fast_decode and isinstance(images, PictureFiles):
            images = images.shrunk(math.ceil(self.preprocessing.image_size / _LEAST_SIDE))
        if self._cache.kind != "none":
            images = self._cached("train", images)
        transform = v2.Compose([self._variation(), v2.ToImage()])
        training = TransformedImages(images, indices, transform)
        if self.on_error == "skip":
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
        mixed = mixing(self.mixup, self.cutmix, len(self.class_names))
        if mixed is not None:
            images, labels = mixed(images, labels)
        # The Trainer has converted the batch to its precision already, but for the integers.
        return [self.trainer.precision_plugin.convert_input(images), labels]  # type: ignore[union-attr]

    def _part(self, split: Split) -> tuple[LabelledImages, NDArray[np.int64]]:
        if self._parts is None:
            parts = self.load()
            require_trained(parts, self.class_names)
            self._parts = parts
            if self.on_error == "skip":
                # Evaluation is of each image once, and it is known beforehand how many there are.
                for each in ("val", "test"):
                    images, indices = self._parts[each]
                    if isinstance(images, PictureFiles):
                        kept, left_out = readable(images, indices)
                        if not len(kept):
                            raise UsageError(
                                "data",
                                expected=f"images in the {each} split that can be read",
                                found=f"none among {len(indices)}, the first {left_out[0]}",
                                remedy="look at them with python -m src.data",
                            )
                        self._parts[each] = (images, kept)
                        self._left_out += left_out
        return self._parts[split]

    def _variation(self) -> v2.Transform:
        if self.augment == "none":
            return self.preprocessing.spatial()
        return v2.Compose([self.augmentation(), *further(self.augment)])

    def _order(self, training: TransformedImages) -> TrainingOrder:
        rank, processes = self._processes()
        weights = None
        if self.balance == "sampler":
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
            forgiving=self.on_error == "skip",
            processes=1 if self.trainer is None else self.trainer.num_devices,
        )


def _require_positive(argument: str, value: int) -> None:
    if value < 1:
        raise UsageError(
            argument,
            expected="a positive number",
            found=str(value),
            remedy=f"set for example {argument}=64",
        )
