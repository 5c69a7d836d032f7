"""The input of an exported file, and the function that makes a batch for it.

Most files take the network's own input: normalised float32, (N, 3, H, W). A file with the
normalisation inside takes the pixels of resized images: uint8, (N, H, W, 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from src.run.record import InvalidValueError, Record

if TYPE_CHECKING:
    from src.run.facts import PreprocessingFacts

Batch = NDArray[np.float32] | NDArray[np.uint8]

# float32 values of normalised pixels are this close to a whole number of levels, far below a level.
_LEVEL_TOLERANCE = 1e-2
_MOST = 255


class FileInput(Record, frozen=True, kw_only=True):
    """The tensor that an exported file takes, as its manifest and its metadata record it."""

    dtype: Literal["float32", "uint8"]
    layout: Literal["NCHW", "NHWC"]
    normalised: bool  # scaled, centred and divided by the standard deviation

    def __post_init__(self) -> None:
        if (self.dtype, self.layout, self.normalised) not in _KNOWN:
            found = f"{self.dtype}, {self.layout}, normalised {self.normalised}"
            raise InvalidValueError("input", "normalised float32 in NCHW or uint8 in NHWC", found)

    def __str__(self) -> str:
        return f"{self.dtype} {self.layout}"

    @property
    def is_pixels(self) -> bool:
        """True if the file takes pixels and normalises them itself."""
        return not self.normalised

    def shape(self, batch: int, size: int) -> tuple[int, int, int, int]:
        """Return the shape of a batch of square images of ``size`` pixels."""
        return (batch, size, size, 3) if self.layout == "NHWC" else (batch, 3, size, size)


_KNOWN = {("float32", "NCHW", True), ("uint8", "NHWC", False)}
NORMALISED = FileInput(dtype="float32", layout="NCHW", normalised=True)
PIXELS = FileInput(dtype="uint8", layout="NHWC", normalised=False)


class NotPixelsError(ValueError):
    """Normalised images are not those of pixels, so a file that takes pixels cannot get them."""


@dataclass(frozen=True)
class BatchMaker:
    """Makes the batch that a file takes: the only place that knows how.

    Args:
        takes: the file's input.
        preprocessing: of the run; its scale, mean and standard deviation count.
    """

    takes: FileInput
    preprocessing: PreprocessingFacts

    def __call__(self, images: NDArray[Any]) -> Batch:
        """Return the batch for images in either form.

        Args:
            images: normalised float32 (N, 3, H, W), or pixels of resized images, uint8
                (N, H, W, 3).

        Raises:
            NotPixelsError: the file takes pixels, and the images are not normalised pixels.
        """
        pixels = images.dtype == np.uint8
        if self.takes.is_pixels:
            return np.ascontiguousarray(images) if pixels else self._levels(images)
        return self._normalised(images) if pixels else np.asarray(images, np.float32)

    def _normalised(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute as the evaluation does, in float32."""
        scale, mean, std = self._columns(np.float32)
        values = (pixels.transpose(0, 3, 1, 2).astype(np.float32) * scale - mean) / std
        return np.ascontiguousarray(values, dtype=np.float32)

    def _levels(self, images: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Compute in float32, whose rounding is far below the tolerance."""
        scale, mean, std = self._columns(np.float32)
        factor, offset = std / scale, mean / scale
        pixels = np.empty((len(images), *images.shape[2:], images.shape[1]), np.uint8)
        for number, image in enumerate(images):  # one at a time stays in the processor's cache
            exact = image * factor
            exact += offset
            levels = np.rint(exact)
            low, high = float(levels.min(initial=0)), float(levels.max(initial=0))
            exact -= levels
            error = float(np.abs(exact).max(initial=0))
            # Written so that NaN is refused too.
            if not (error <= _LEVEL_TOLERANCE and low >= 0 and high <= _MOST):
                raise NotPixelsError(
                    "expected normalised pixels, for the file takes uint8; found values "
                    f"from {low:.4g} to {high:.4g} that are up to {error:.2g} levels off; "
                    "export with export.input=float"
                )
            pixels[number] = levels.transpose(1, 2, 0)
        return pixels

    def _columns(self, dtype: Any) -> tuple[Any, NDArray[Any], NDArray[Any]]:
        """Return scale, mean and standard deviation, the last two as (3, 1, 1)."""
        facts = self.preprocessing
        mean, std = (np.array(values, dtype)[:, None, None] for values in (facts.mean, facts.std))
        return dtype(facts.scale or 1 / _MOST), mean, std


def accepted(images: Batch, takes: str | None) -> Batch:
    """Return images of the type that a file takes; some runtimes convert others silently.

    Args:
        images: a batch for the file.
        takes: the input that the runtime reports, such as ``uint8 NHWC``; None accepts all images.

    Raises:
        ValueError: they are of another type.
    """
    if takes is not None and takes.split()[0] != images.dtype.name:
        raise ValueError(f"the file takes {takes}, and was given {images.dtype.name}")
    return images
