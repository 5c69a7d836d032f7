"""scikit-learn's handwritten digits: 1,797 real images of 8x8 pixels, no download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.transforms import v2

from src.data.dataset import Dataset
from src.data.dataset_module import DatasetModule
from src.data.loading import Loading
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.split import Parts, three_ways
from src.data.preprocessing import Preprocessing

_HIGHEST = 16  # pixels are counts from 0 to 16
_VAL_SHARE = 0.1
_TEST_SHARE = 0.3


class DigitImages:
    """All images of the data set, in memory."""

    def __init__(self) -> None:
        pixels, targets = load_digits(return_X_y=True)
        self._pixels: NDArray[np.uint8] = np.round(
            pixels.reshape(-1, 8, 8) * 255 / _HIGHEST
        ).astype(np.uint8)
        self.targets: NDArray[np.int64] = targets.astype(np.int64)

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self._pixels[index]).convert("RGB")

    def name(self, index: int) -> str:
        return f"digit {index}"


@dataclass(eq=False)
class DigitsDataset(Dataset):
    """The digits that scikit-learn contains, split 60/10/30 by seed, stratified."""

    loading: ClassVar[Loading] = Loading(
        image_size=64, num_workers=0, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)
    )
    # https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits
    licence: ClassVar[str] = "CC BY 4.0: Alpaydin and Kaynak, UCI Machine Learning Repository, 1998"

    @property
    def class_names(self) -> list[str]:
        return [str(digit) for digit in range(10)]

    def load(self, split_seed: int) -> Parts[LabelledImages]:
        images = DigitImages()
        parts = three_ways(images.targets, _VAL_SHARE, _TEST_SHARE, split_seed)
        return {split: (images, indices) for split, indices in parts.items()}

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
