"""Augmentation of training images in addition to the data set's own, and mixing of batches."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

# default: the augmentation of the data set. none: only the resizing of the evaluation.
# randaugment (Cubuk et al., 2020, arXiv 1909.13719) and trivialaugment (Mueller & Hutter, 2021,
# arXiv 2103.10158) come after that of the data set, with the settings of their papers.
Augment = Literal["default", "none", "randaugment", "trivialaugment"]

LEAST_CROP_AREA = 0.35  # of the image, in crop_and_flip
LEAST_CROP_SIDE = math.sqrt(LEAST_CROP_AREA)
"""Smallest share of the image's side that such a crop shows, if it keeps the aspect ratio.

A JPEG that is decoded at a reduced size must still have enough pixels for this crop.
"""


def crop_and_flip(
    image_size: int, *, squash: bool = False, interpolation: str = "bilinear"
) -> v2.Transform:
    """Return ImageNet's random crop and flip, with larger crops, which suit small data sets.

    Args:
        image_size: side of the square result, in pixels.
        squash: the evaluation resizes both sides, so crops have about the shape of the image. Of a
            long image others would show the middle only.
        interpolation: filter of the resizing, which should be that of the evaluation.
    """
    kind = _SquashedCrop if squash else v2.RandomResizedCrop
    crop = kind(
        image_size,
        scale=(LEAST_CROP_AREA, 1.0),
        interpolation=v2.InterpolationMode(interpolation),
    )
    return v2.Compose([crop, v2.RandomHorizontalFlip()])


class _SquashedCrop(v2.RandomResizedCrop):  # type: ignore[misc]  # torchvision has no types
    """Random crop of the square to which an image is squashed."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = functional.get_size(flat_inputs[0])
        side = max(height, width)
        square = super().make_params([torch.empty(1, 1, 1).expand(1, side, side)])
        crop_height = max(1, round(square["height"] * height / side))
        crop_width = max(1, round(square["width"] * width / side))
        return {
            "top": min(round(square["top"] * height / side), height - crop_height),
            "left": min(round(square["left"] * width / side), width - crop_width),
            "height": crop_height,
            "width": crop_width,
        }


def varied(default: v2.Transform, kind: Augment, *, flip: bool) -> v2.Transform:
    """Return the augmentation of training images, from an image to an image.

    Args:
        default: the data set's own.
        kind: adds a policy after it.
        flip: keep the mirroring in ``default``.
    """
    transforms = [default if flip else _without_flips(default)]
    if kind == "randaugment":
        transforms.append(v2.RandAugment())
    if kind == "trivialaugment":
        transforms.append(v2.TrivialAugmentWide())
    return v2.Compose(transforms)


def _without_flips(transform: v2.Transform) -> v2.Transform:
    if isinstance(transform, v2.Compose):
        return v2.Compose([_without_flips(part) for part in transform.transforms])
    return v2.Identity() if isinstance(transform, v2.RandomHorizontalFlip) else transform


def batch_mixing(mixup: float, cutmix: float, classes: int) -> v2.Transform | None:
    """Return the transform that mixes the images of a batch; labels become class shares, (N, K).

    mixup: Zhang et al., 2018, arXiv 1710.09412. CutMix: Yun et al., 2019, arXiv 1905.04899. With
    both, each batch draws one of them.

    Args:
        mixup: alpha of the beta distribution of the mixing share; 0 for none.
        cutmix: the same for CutMix.
        classes: number of classes, K.
    """
    transforms: list[v2.Transform] = []
    if mixup:
        transforms.append(v2.MixUp(alpha=float(mixup), num_classes=classes))
    if cutmix:
        transforms.append(v2.CutMix(alpha=float(cutmix), num_classes=classes))
    return v2.RandomChoice(transforms) if transforms else None
