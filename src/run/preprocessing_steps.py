"""The preprocessing as ordered steps: the one description that everything else is made from.

Training's evaluation transform, the lines of Python in cards and reports, the card's sentence and
the graph with the preprocessing inside are each built from these steps. Programs that stand alone,
as a bundle's ``predict.py``, cannot import them: ``tests/golden`` holds all of them to the same
pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from src.run.facts import PreprocessingFacts

Filter = Literal["bilinear", "bicubic"]

CROP_SHARE = 0.875  # torchvision's: 224 of 256

# The middle of an image and all that the filters see around it are within this many times its
# shorter side, so that what lies beyond need not be resized: 1 x 1,000,000 pixels would become
# 256 x 256,000,000.
LONGEST_RATIO = 32

ORIENTATION = 0x0112  # the EXIF tag
DEEP_DIVISOR = 257  # 65535 / 255: the white of 16 bits is the white of 8


@dataclass(frozen=True)
class Upright:
    """Turn and mirror the image by its EXIF orientation.

    Values from 2 to 8 count; with any other the image stays as it is.
    """

    tag: int = ORIENTATION


@dataclass(frozen=True)
class ToRgb:
    """RGB in 8 bits a channel, whatever the file has.

    Grey of 16 bits is divided by ``deep_divisor`` and rounded. Transparency is dropped, so that the
    colours below it count. Grey becomes three equal channels; palettes and CMYK are converted as
    Pillow does it. Pixels of another range, as 32 bits or floating point, are refused.
    """

    deep_divisor: int = DEEP_DIVISOR


@dataclass(frozen=True)
class WithoutEnds:
    """Cut off both ends of an image more than ``longest_ratio`` times as long as wide.

    Each end is ``max(longer - longest_ratio * shorter, 0) // (4 * shorter) * (2 * shorter)``
    pixels: a multiple of twice the shorter side, so that the resized image is shorter by a
    multiple of 4 pixels and its middle lies where it would be in the whole.
    """

    longest_ratio: int = LONGEST_RATIO


@dataclass(frozen=True)
class ResizeBoth:
    """Resize both sides to ``size`` pixels by Pillow's antialiased ``filter``."""

    size: int
    filter: Filter


@dataclass(frozen=True)
class ResizeShorter:
    """Resize the shorter side to ``size`` pixels, the longer to ``int(size * longer / shorter)``.

    By Pillow's antialiased ``filter``.
    """

    size: int
    filter: Filter


@dataclass(frozen=True)
class CropMiddle:
    """The middle ``size`` x ``size`` pixels; a half pixel of margin is rounded to even."""

    size: int


@dataclass(frozen=True)
class Scale:
    """Levels from 0 to 255 as float32, times ``factor``."""

    factor: float = 1 / 255


@dataclass(frozen=True)
class Normalise:
    """``(value - mean) / std`` by channel (R, G, B) in float32."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


Spatial = WithoutEnds | ResizeBoth | ResizeShorter | CropMiddle  # image in, image out
Step = Upright | ToRgb | Spatial | Scale | Normalise


def steps_of(preprocessing: PreprocessingFacts) -> tuple[Step, ...]:
    """Return the steps from a decoded image to the network's input, (3, H, W) float32, in order.

    Args:
        preprocessing: as it travels inside an exported file and in ``manifest.json``. A file
            without ``interpolation`` or ``crop_share`` has bilinear and 0.875.
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


def _spatial(preprocessing: PreprocessingFacts) -> tuple[Spatial, ...]:
    size = preprocessing.image_size
    interpolation: Filter = preprocessing.interpolation or "bilinear"
    if preprocessing.resize == "squash":
        return (ResizeBoth(size, interpolation),)
    side = round(size / (preprocessing.crop_share or CROP_SHARE))
    return WithoutEnds(), ResizeShorter(side, interpolation), CropMiddle(size)
