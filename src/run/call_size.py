"""The number of images that a file or a network is given in one call.

A runtime may take other kernels for another number of images, which changes the last bits. So the
number depends on nothing but the size of the images, the purpose and the device, and evaluation and
prediction fill a call with fewer images up. Large images come in smaller numbers: the memory of a
call grows with their area, and filled up to 64, a single photo of 224 pixels would take 64 times as
long as it needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Protocol, Self, TypeVar

EVALUATION_BATCH = 64  # images that evaluation and prediction read at once
_SIZES = (EVALUATION_BATCH, 8, 1)
_LARGE = 256 * 256  # pixels, of which 8 images are one call of a CPU
_CHANNELS = 3


class Images(Protocol):
    """An array or a tensor of images, (n, 3, H, W) or (n, H, W, 3)."""

    @property
    def shape(self) -> Any:
        """The sizes of the axes."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Self: ...


ImagesT = TypeVar("ImagesT", bound=Images)


def images_per_call(pixels: int, device: str, *, mixes_batch: bool) -> int:
    """Return the number of images of a call of evaluation and prediction.

    Args:
        pixels: of one image, height times width.
        device: where the file runs. A GPU is much slower with fewer images, and is always given 64.
            A CPU is no slower with fewer.
        mixes_batch: an image's answer depends on the others of its call, so it is given alone.
    """
    if mixes_batch:
        return 1
    if device == "cuda":
        return EVALUATION_BATCH
    return next((size for size in _SIZES if size * pixels <= _SIZES[1] * _LARGE), 1)


def calls_of(images: ImagesT, most: int) -> Iterator[ImagesT]:
    """Yield the images in order, as many at once as one call on the CPU takes.

    Args:
        images: all of the same size.
        most: images of a call of up to 256 x 256 pixels each. Of larger ones a call has fewer, so
            that it has no more pixels than that.
    """
    pixels = math.prod(images.shape[1:]) // _CHANNELS
    size = max(1, min(most, most * _LARGE // max(1, pixels)))
    for start in range(0, len(images), size):
        yield images[start : start + size]
