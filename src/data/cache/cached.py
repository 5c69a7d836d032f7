"""Base of the data sets whose images are decoded once."""

from __future__ import annotations

from src.data.cache.decode import DecodedImages
from src.data.pipeline.dataset import LabelledImages


class CachedImages:
    """A data set that keeps decoded images; one that it does not keep is read when it is used.

    Args:
        images: the original data set.
        skip_unreadable: leave out an image that cannot be read, instead of raising; its use
            raises then.
    """

    def __init__(self, images: LabelledImages, *, skip_unreadable: bool) -> None:
        self._images = images
        self._skip_unreadable = skip_unreadable
        self.targets = images.targets

    def name(self, index: int) -> str:
        """Return the name of an image."""
        return self._images.name(index)

    def _decoded(self) -> DecodedImages:
        return DecodedImages(self._images, skip_unreadable=self._skip_unreadable)
