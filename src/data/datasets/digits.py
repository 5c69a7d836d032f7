"""scikit-learn's handwritten digits: 1,797 real images of 8x8 pixels, no download."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.transforms import v2

from src.data.images import ImageDataModule
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.split import Split, three_ways
from src.data.preprocessing import ResizeRule

_HIGHEST = 16  # the set's pixels are counts from 0 to 16
_VAL_SHARE = 0.1
_TEST_SHARE = 0.3


class DigitImages:
    """The whole set in memory."""

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


class Digits(ImageDataModule):
    """The embedded data set, split 60/10/30 by seed, stratified."""

    # https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits
    licence: ClassVar[str] = "CC BY 4.0: Alpaydin and Kaynak, UCI Machine Learning Repository, 1998"

    def __init__(
        self,
        image_size: int = 64,
        batch_size: int = 64,
        num_workers: int | None = 0,
        resize: ResizeRule = "squash",
        mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
        std: tuple[float, float, float] = (0.5, 0.5, 0.5),
        split_seed: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(
            image_size, batch_size, num_workers, resize, mean, std, split_seed, **shared
        )

    @property
    def class_names(self) -> list[str]:
        return [str(digit) for digit in range(10)]

    def load(self) -> dict[Split, tuple[LabelledImages, NDArray[np.int64]]]:
        images = DigitImages()
        parts = three_ways(images.targets, _VAL_SHARE, _TEST_SHARE, self.split_seed)
        return {split: (images, indices) for split, indices in parts.items()}

    def augmentation(self) -> v2.Transform:
        # No flips: a mirrored 2 is not a 2, and a 6 upside down is a 9.
        jitter: dict[str, Any] = {"degrees": 10, "translate": (0.1, 0.1), "scale": (0.9, 1.1)}
        return v2.Compose(
            [
                self.preprocessing.spatial(),
                v2.RandomAffine(**jitter, interpolation=v2.InterpolationMode.BILINEAR),
            ]
        )
