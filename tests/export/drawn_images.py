"""Images of an export that no data set was read for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from src.data.preprocessing import Preprocessing
from src.run.facts import Origin


class DrawnImages:
    """Random images to calibrate on and to examine a network with, and none to judge by.

    Args:
        preprocessing: that the images are said to have gone through.
        calibration: how many images there are to calibrate on.
        class_names: of the network that is exported.
    """

    def __init__(
        self, preprocessing: Preprocessing, calibration: int, class_names: Sequence[str]
    ) -> None:
        self.class_names = list(class_names)
        self.preprocessing = preprocessing
        self.origin = Origin()
        self._calibration = calibration

    def calibration_images(self, count: int) -> Tensor:
        return self._images(min(count, self._calibration))

    def judging_images(self, calibration: int, count: int) -> None:
        return None

    def unseen_images(self, count: int) -> Tensor:
        return self._images(min(count, 5))

    def _images(self, count: int) -> Tensor:
        side = self.preprocessing.image_size
        return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))
