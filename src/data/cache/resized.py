"""Images after the resizing of the evaluation preprocessing."""

from __future__ import annotations

from PIL import Image

from src.data.pipeline.dataset import LabelledImages
from src.data.preprocessing import Preprocessing


class ResizedImages:
    """Images of a data set after the spatial steps of a preprocessing.

    Args:
        images: where they come from.
        preprocessing: gives the steps, by ``spatial()``.
    """

    def __init__(self, images: LabelledImages, preprocessing: Preprocessing) -> None:
        self._images = images
        self.targets = images.targets
        self._resize = preprocessing.spatial()

    def image(self, index: int) -> Image.Image:
        resized: Image.Image = self._resize(self._images.image(index))
        return resized

    def name(self, index: int) -> str:
        return self._images.name(index)
