"""Options of loading, which all data sets share, with their defaults."""

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

# raise: the first unreadable image ends the training with an error that names it.
# skip: training uses the next image instead, evaluation leaves it out; such images are counted.
OnError = Literal["raise", "skip"]

_SEEDS = 2**32  # number of seeds of NumPy and scikit-learn
_MOST_WORKERS = 8  # of the default

_Count = Annotated[int, Range("a positive number", "set for example {argument}=64", above=0)]
_Workers = Annotated[
    int | None,
    Range(
        "a number of processes, or 0 to load images in this one",
        "leave it out for one a core",
        least=0,
    ),
]
_Mean = Annotated[
    tuple[float, float, float],
    Range(
        "three numbers up to 1, on the scale on which pixels are from 0 to 1",
        "divide numbers of the scale up to 255 by 255, those of data.std too",
        most=1,
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
        batch_size: images per step in each process. Lower it if memory runs out.
        num_workers: processes that load images; by default one per core, at most 8, shared by the
            processes that train on this machine; 0 to load them in the training process.
        resize: ``squash`` resizes both sides, ``crop`` the shorter one and crops the middle.
        mean: subtracted from each channel, on the [0, 1] scale.
        std: each channel is divided by it, on the [0, 1] scale.
        split_seed: seed of the splits that the data set does not define itself.
        interpolation: filter of the resizing.
        crop_share: share of the resized image's shorter side that ``crop`` keeps.
        augment: augmentation of training images: ``default`` for that of the data set, ``none``, or
            ``randaugment`` or ``trivialaugment`` after that of the data set.
        flip: mirror training images at random, where the augmentation of the data set does so;
            false for writing and for classes that differ by left and right.
        mixup: alpha of mixup, which blends two images of a training batch; 0 for none.
        cutmix: alpha of CutMix, which pastes a part of one training image into another; 0 for
            none.
        balance: remedy for classes of different sizes: ``weights`` in the loss, or a ``sampler``
            that draws images of rare classes more often.
        on_error: behaviour for an unreadable image: ``raise`` an error, or ``skip`` it.
        cache: keep decoded images of training and validation in ``memory`` or on ``disk``.
        cache_dir: folder in which ``lightship-pictures`` is made for the cache on disk; by default
            ``~/.cache``.
        cache_gigabytes: limit of the whole cache on disk, with the images of other data; by default
            50. The least recently used images are removed first.
        fast_decode: decode a large JPEG at a fraction of its size for training.

    Raises:
        UsageError: a number is out of its range.
    """

    image_size: _Count = 64
    batch_size: _Count = 64
    num_workers: _Workers = None
    resize: ResizeRule = "squash"
    mean: _Mean = IMAGENET_MEAN
    std: _Std = IMAGENET_STD
    split_seed: _Seed = 0
    interpolation: Interpolation = "bilinear"
    crop_share: _CropShare = CROP_SHARE
    augment: Augment = "default"
    flip: bool = True
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
        """The preprocessing of the evaluation."""
        return Preprocessing(
            self.image_size,
            self.resize,
            self.mean,
            self.std,
            self.interpolation,
            self.crop_share,
        )

    def workers(self, processes: int = 1) -> int:
        """Return the number of processes that load images.

        Args:
            processes: number of those that train on this machine, which share its cores.
        """
        if self.num_workers is not None:
            return self.num_workers
        return max(1, min(machine.usable_cores() // processes, _MOST_WORKERS))
