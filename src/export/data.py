"""ExportData: the images that an export is made with."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from src.data.preprocessing import Preprocessing
from src.run.facts import Origin


class ExportData(Protocol):
    """Images of a run in evaluation's preprocessing; ``ImageDataModule`` is one."""

    @property
    def preprocessing(self) -> Preprocessing:
        """The steps from an image to the network's input."""

    @property
    def class_names(self) -> list[str]:
        """The classes in label order."""

    @property
    def origin(self) -> Origin:
        """The training data: name, number of images, licence."""

    def calibration_images(self, count: int) -> Tensor:
        """Return at most ``count`` training images, (n, 3, H, W)."""

    def judging_images(self, calibration: int, count: int) -> tuple[Tensor, Tensor] | None:
        """Return at most ``count`` other training images, (n, 3, H, W), and their labels, (n,).

        Args:
            calibration: as many images were asked for to calibrate on; these are other ones.
            count: 0 for none.

        Returns:
            None if there are no such images.
        """

    def unseen_images(self, count: int) -> Tensor:
        """Return at most ``count`` images that training did not see, (n, 3, H, W)."""
