"""Loading options that all data sets share, with their defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from src.data.cache.policy import CacheKind
from src.data.pipeline.augmentation import Augment
from src.data.pipeline.class_balance import ClassBalance
from src.data.preprocessing import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Interpolation,
    Preprocessing,
    ResizeRule,
)
from src.run.preprocessing_steps import CROP_SHARE
from src.system import machine
from src.system.ranges import Range, require_ranges

# raise: the first image that cannot be read ends the training, and is named.
# skip: training takes the next one in its place, evaluation leaves it out; they are counted.
OnError = Literal["raise", "skip"]

_SEEDS = 2**32  # of NumPy and scikit-learn
_MOST_WORKERS = 8  # by default

_Count = Annotated[int, Range("a positive number", "set for example {argument}=64", above=0)]
_Workers = Annotated[
    int | None,
    Range(
        "a number of processes, or 0 to load images in this one",
        "leave it out for one a core",
        least=0,
    ),
]
_Std = Annotated[
    tuple[float, float, float],
    Range(
        "three numbers above 0, which images are divided by", "leave it out for ImageNet's", above=0
    ),
]
_Seed = Annotated[
    int, Range(f"a number from 0 up to {_SEEDS - 1}", "leave it out for 0", least=0, below=_SEEDS)
]
_CropShare = Annotated[
    float, Range("a share above 0 and up to 1", "leave it out for 0.875", above=0, most=1)
]
_Alpha = Annotated[
    float,
    Range(
        "the alpha of a beta distribution, or 0 for none",
        "set for example {argument}=0.2",
        least=0,
        below=math.inf,
    ),
]
_Gigabytes = Annotated[float | None, Range("a number above 0", "leave it out for 50", above=0)]


@dataclass(frozen=True)
class Loading:
    """Options of how the images of any data set are split, resized, varied and batched.

    Args:
        image_size: side of the square input, in pixels.
        batch_size: images a step, in each process.
        num_workers: processes that load images; by default one a core, 8 at most.
        resize: ``squash`` both sides, or ``crop`` the middle.
        mean: subtracted per channel, on the [0, 1] scale.
        std: divided by per channel, on the [0, 1] scale.
        split_seed: decides which image is in which split, where the data set does not.
        interpolation: of the resizing.
        crop_share: of the resized image's side that ``crop`` leaves.
        augment: how training varies an image beyond what the data set says.
        mixup: alpha by which two images of a training batch are blended; 0 for none.
        cutmix: alpha by which a part of a training image is taken from another; 0 for none.
        balance: what evens out classes of uneven size.
        on_error: what happens when an image cannot be read.
        cache: keep the decoded images of training and validation, in memory or on disk.
        cache_dir: gets a folder ``lightship-pictures`` for those on disk; by default ``~/.cache``.
        cache_gigabytes: that all images in it may take, those of other data included; by
            default 50. The least recently used make room.
        fast_decode: let training decode a large JPEG at a fraction of its size.

    Raises:
        UsageError: a number is out of its range.
    """

    image_size: _Count = 64
    batch_size: _Count = 64
    num_workers: _Workers = None
    resize: ResizeRule = "squash"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: _Std = IMAGENET_STD
    split_seed: _Seed = 0
    interpolation: Interpolation = "bilinear"
    crop_share: _CropShare = CROP_SHARE
    augment: Augment = "default"
    mixup: _Alpha = 0.0
    cutmix: _Alpha = 0.0
    balance: ClassBalance = "none"
    on_error: OnError = "raise"
    cache: CacheKind = "none"
    cache_dir: str | None = None
    cache_gigabytes: _Gigabytes = None
    fast_decode: bool = False

    def __post_init__(self) -> None:
        require_ranges(self, "data")

    @property
    def preprocessing(self) -> Preprocessing:
        """The evaluation preprocessing."""
        return Preprocessing(
            self.image_size,
            self.resize,
            self.mean,
            self.std,
            self.interpolation,
            self.crop_share,
        )

    @property
    def workers(self) -> int:
        """Number of processes that load images."""
        if self.num_workers is not None:
            return self.num_workers
        return min(machine.usable_cores(), _MOST_WORKERS)
