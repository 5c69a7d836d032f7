"""scikit-learn's handwritten digits: 1,797 real images of 8x8 pixels, no download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torchvision.transforms import v2

from src.data.dataset import Dataset
from src.data.dataset_module import DatasetModule
from src.data.loading import Loading
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.split import Parts, three_ways
from src.data.preprocessing import Preprocessing
from src.errors import UsageError
from src.system.ranges import Range

_HIGHEST = 16  # pixels are counts from 0 to 16
_VAL_SHARE = 0.1
_TEST_SHARE = 0.3
_LEAST_TRAINING = 20  # two of each class
_MOST_NOISE = 10.0

_Noise = Annotated[
    float,
    Range(
        f"a standard deviation from 0 to {_MOST_NOISE:g}, of pixels from 0 to 1",
        least=0,
        most=_MOST_NOISE,
    ),
]
_NoiseSeed = Annotated[int, Range("a number from 0 to 4294967295", least=0, most=2**32 - 1)]
_TrainingImages = Annotated[
    int | None,
    Range(f"{_LEAST_TRAINING} or more", "leave it out for all of them", least=_LEAST_TRAINING),
]


class DigitImages:
    """All images of the data set, in memory.

    Args:
        noise: standard deviation of the noise, of pixels from 0 to 1.
        noise_seed: of the noise. An image has the same noise in all splits and commands.
    """

    def __init__(self, noise: float = 0.0, noise_seed: int = 0) -> None:
        pixels, targets = load_digits(return_X_y=True)
        shares = pixels.reshape(-1, 8, 8) / _HIGHEST
        if noise:
            # Unlike those of default_rng, numpy keeps these numbers in all its versions.
            generator = np.random.RandomState(noise_seed)
            shares = np.clip(shares + noise * generator.standard_normal(shares.shape), 0, 1)
        self._pixels: NDArray[np.uint8] = np.round(shares * 255).astype(np.uint8)
        self.targets: NDArray[np.int64] = targets.astype(np.int64)

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self._pixels[index]).convert("RGB")

    def name(self, index: int) -> str:
        return f"digit {index}"


@dataclass(eq=False)
class DigitsDataset(Dataset):
    """The digits that scikit-learn contains, split 60/10/30 by seed, stratified.

    Args:
        noise: Gaussian noise on the 8x8 pixels of all images, also those of validation and test:
            its standard deviation, of pixels from 0 to 1. It makes the data harder.
        noise_seed: of the noise.
        train_images: number of training images, drawn by ``split_seed``; by default all 1,077.
    """

    noise: _Noise = 0.0
    noise_seed: _NoiseSeed = 0
    train_images: _TrainingImages = None

    loading: ClassVar[Loading] = Loading(
        image_size=64, num_workers=0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
    )
    # https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits
    licence: ClassVar[str] = "CC BY 4.0: Alpaydin and Kaynak, UCI Machine Learning Repository, 1998"

    @property
    def class_names(self) -> list[str]:
        return [str(digit) for digit in range(10)]

    def load(self, split_seed: int) -> Parts[LabelledImages]:
        images = DigitImages(self.noise, self.noise_seed)
        parts = three_ways(images.targets, _VAL_SHARE, _TEST_SHARE, split_seed)
        parts["train"] = self._fewer(parts["train"], images.targets, split_seed)
        return {split: (images, indices) for split, indices in parts.items()}

    def _fewer(
        self, indices: NDArray[np.int64], targets: NDArray[np.int64], seed: int
    ) -> NDArray[np.int64]:
        """Return as many training images as are asked for, stratified."""
        if self.train_images is None or self.train_images == len(indices):
            return indices
        if self.train_images > len(indices) - _LEAST_TRAINING:
            raise UsageError(
                "data.train_images",
                expected=f"at most {len(indices) - _LEAST_TRAINING}, or all {len(indices)}",
                found=str(self.train_images),
                remedy="leave it out for all of them",
            )
        kept, _ = train_test_split(
            indices,
            train_size=self.train_images,
            random_state=seed,
            stratify=targets[indices],
        )
        return np.sort(kept)

    def augmentation(self, preprocessing: Preprocessing) -> v2.Transform:
        # No flips: a mirrored 2 is not a 2, and a 6 upside down is a 9.
        jitter = v2.RandomAffine(
            degrees=10,
            translate=(0.1, 0.1),
            scale=(0.9, 1.1),
            interpolation=v2.InterpolationMode.BILINEAR,
        )
        return v2.Compose([preprocessing.spatial(), jitter])


class Digits(DatasetModule, dataset=DigitsDataset):
    pass
