"""The number of images that evaluation and prediction give a file in one call.

A runtime may take other kernels for another number of images, which changes the last bits. So the
number depends on nothing but the size of the images and the device, and a call with fewer images is
filled up. Large images come in smaller numbers: filled up to 64, a single photo of 224 pixels would
take 64 times as long as it needs, and the memory of a call would grow with the area.
"""

from __future__ import annotations

EVALUATION_BATCH = 64  # images that evaluation and prediction read at once
_SIZES = (EVALUATION_BATCH, 8, 1)
_MOST_PIXELS = 8 * 256 * 256  # in one call of a CPU, which is no slower with fewer images


def images_per_call(pixels: int, device: str, *, mixes_batch: bool) -> int:
    """Return the number of images of a call.

    Args:
        pixels: of one image, height times width.
        device: where the file runs. A GPU is much slower with fewer images, and is always given 64.
        mixes_batch: an image's answer depends on the others of its call, so it is given alone.
    """
    if mixes_batch:
        return 1
    if device == "cuda":
        return EVALUATION_BATCH
    return next((size for size in _SIZES if size * pixels <= _MOST_PIXELS), 1)
