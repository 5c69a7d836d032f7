"""The preprocessing as ordered steps: the single definition for all implementations.

Training's evaluation transform, the lines of Python in cards and reports, the card's sentence and
the graph with the preprocessing inside are built from these steps. Standalone programs such as a
bundle's ``predict.py`` cannot import them; ``tests/golden`` checks that all give the same pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from src.run.facts import PreprocessingFacts

Filter = Literal["bilinear", "bicubic"]

CROP_SHARE = 0.875  # torchvision's: 224 of 256

# The crop at the middle of an image and the pixels that its filters read are within this many times
# the shorter side. Pixels beyond it need not be resized: 1 x 1,000,000 pixels would become
# 256 x 256,000,000.
LONGEST_RATIO = 32

ORIENTATION = 0x0112  # the EXIF tag
DEEP_DIVISOR = 257  # 65535 / 255: maps 16-bit white to 8-bit white


@dataclass(frozen=True)
class Upright:
    """Rotate and mirror the image by its EXIF orientation.

    Values from 2 to 8 are applied. With any other value the image is unchanged.
    """

    tag: int = ORIENTATION


@dataclass(frozen=True)
class ToRgb:
    """Convert to RGB with 8 bits per channel.

    16-bit grey is divided by ``deep_divisor`` and rounded. The alpha channel is dropped, and the
    colours of transparent pixels are used. Grey becomes three equal channels; palettes and CMYK are
    converted by Pillow. Pixels of another range, such as 32 bits or floating point, are refused.
    """

    deep_divisor: int = DEEP_DIVISOR


@dataclass(frozen=True)
class WithoutEnds:
    """Cut off both ends of an image whose sides differ by more than ``longest_ratio``.

    Each end is ``max(longer - longest_ratio * shorter, 0) // (4 * shorter) * (2 * shorter)``
    pixels. This is a multiple of twice the shorter side, so the resized image is shorter by a
    multiple of 4 pixels, and its middle is the same as without the cut.
    """

    longest_ratio: int = LONGEST_RATIO


@dataclass(frozen=True)
class ResizeBoth:
    """Resize both sides to ``size`` pixels with Pillow's antialiased ``filter``."""

    size: int
    filter: Filter


@dataclass(frozen=True)
class ResizeShorter:
    """Resize the shorter side to ``size`` pixels, the longer to ``int(size * longer / shorter)``.

    Pillow's antialiased ``filter`` is used.
    """

    size: int
    filter: Filter


@dataclass(frozen=True)
class CropMiddle:
    """Crop the middle ``size`` x ``size`` pixels; half a pixel of margin is rounded to even."""

    size: int


@dataclass(frozen=True)
class Scale:
    """Convert levels from 0 to 255 to float32 and multiply by ``factor``."""

    factor: float = 1 / 255


@dataclass(frozen=True)
class Normalise:
    """Compute ``(value - mean) / std`` by channel (R, G, B) in float32."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


Spatial = WithoutEnds | ResizeBoth | ResizeShorter | CropMiddle  # image in, image out
Step = Upright | ToRgb | Spatial | Scale | Normalise


def steps_of(preprocessing: PreprocessingFacts) -> tuple[Step, ...]:
    """Return the steps from a decoded image to the network's input, (3, H, W) float32, in order.

    Args:
        preprocessing: as stored in an exported file and in ``manifest.json``. Without
            ``interpolation`` it is bilinear, and without ``crop_share`` it is 0.875.
    """
    return (
        Upright(),
        ToRgb(),
        *_spatial(preprocessing),
        Scale(preprocessing.scale or Scale.factor),
        Normalise(tuple(map(float, preprocessing.mean)), tuple(map(float, preprocessing.std))),
    )


def spatial_steps(steps: tuple[Step, ...]) -> tuple[Spatial, ...]:
    """Return the steps among ``steps`` that resize and cut."""
    return tuple(step for step in steps if isinstance(step, Spatial))


def steps_before(steps: tuple[Step, ...], *, takes_pixels: bool) -> tuple[Step, ...]:
    """Return the steps of a program in front of a file: one that takes pixels does the last."""
    return tuple(
        step for step in steps if not (takes_pixels and isinstance(step, Scale | Normalise))
    )


def _spatial(preprocessing: PreprocessingFacts) -> tuple[Spatial, ...]:
    size = preprocessing.image_size
    interpolation: Filter = preprocessing.interpolation or "bilinear"
    if preprocessing.resize == "squash":
        return (ResizeBoth(size, interpolation),)
    side = round(size / (preprocessing.crop_share or CROP_SHARE))
    return WithoutEnds(), ResizeShorter(side, interpolation), CropMiddle(size)
