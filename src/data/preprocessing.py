"""Preprocessing of the evaluation, which training, export and prediction share."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from src.run.facts import PreprocessingFacts
from src.run.preprocessing_steps import (
    CROP_SHARE,
    CropMiddle,
    Filter,
    ResizeBoth,
    ResizeShorter,
    Spatial,
    Step,
    WithoutEnds,
    spatial_steps,
    steps_of,
)

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor
    from torchvision.transforms import v2

# squash: resize both sides to image_size; the aspect ratio is not kept.
# crop: resize the shorter side to image_size / crop_share, then crop the middle.
# src.run.preprocessing_steps defines all steps of both.
ResizeRule = Literal["squash", "crop"]
Interpolation = Filter

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of an image for the network: see :mod:`src.run.preprocessing_steps`."""

    image_size: int  # pixels
    resize: ResizeRule = "squash"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: Interpolation = "bilinear"
    crop_share: float = CROP_SHARE  # share of the resized image's shorter side that is kept

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one input image: (3, H, W)."""
        return (3, self.image_size, self.image_size)

    def facts(self) -> PreprocessingFacts:
        """Return the record that every exported file stores."""
        return PreprocessingFacts(
            image_size=self.image_size,
            resize=self.resize,
            mean=list(self.mean),
            std=list(self.std),
            interpolation=self.interpolation,
            crop_share=self.crop_share if self.resize == "crop" else None,
            color="RGB",
            scale=1 / 255,
            layout="NCHW",
        )

    @classmethod
    def of(cls, facts: PreprocessingFacts) -> Self:
        """Return the preprocessing that an exported file stores: see :meth:`facts`."""
        mean_red, mean_green, mean_blue = facts.mean
        std_red, std_green, std_blue = facts.std
        return cls(
            image_size=facts.image_size,
            resize=facts.resize,
            mean=(mean_red, mean_green, mean_blue),
            std=(std_red, std_green, std_blue),
            interpolation=facts.interpolation or "bilinear",
            crop_share=facts.crop_share or CROP_SHARE,
        )

    def steps(self) -> tuple[Step, ...]:
        """Return the steps from a decoded image to the input, in order."""
        return steps_of(self.facts())

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the network's input for one image in RGB: (3, H, W) float32."""
        from torchvision.transforms import v2

        tensor: Tensor = v2.Compose([self.spatial(), self.to_tensor()])(image)
        return tensor

    def spatial(self) -> v2.Transform:
        """Return the transform that resizes and crops an image."""
        from torchvision.transforms import v2

        return v2.Compose([_transform(step) for step in spatial_steps(self.steps())])

    def to_tensor(self) -> v2.Transform:
        """Return the transform from a uint8 image to a normalised (3, H, W) float32 tensor."""
        from torchvision.transforms import v2

        return v2.Compose([v2.ToImage(), v2.Lambda(self.normalised)])

    def normalised(self, levels: Tensor) -> Tensor:
        """Convert levels from 0 to 255, uint8 (..., 3, H, W), to the network's input, float32."""
        import torch
        from torchvision.transforms.v2 import functional

        scaled = functional.to_dtype(levels, torch.float32, scale=True)
        normalised: Tensor = functional.normalize(scaled, list(self.mean), list(self.std))
        return normalised


def _transform(step: Spatial) -> v2.Transform:
    """Return a step as a transform of torchvision, which calls Pillow."""
    from torchvision.transforms import v2

    match step:
        case WithoutEnds():
            return v2.Lambda(functools.partial(_without_ends, longest_ratio=step.longest_ratio))
        case ResizeBoth():
            rule = v2.InterpolationMode(step.filter)
            return v2.Resize((step.size, step.size), interpolation=rule)
        case ResizeShorter():
            return v2.Resize(step.size, interpolation=v2.InterpolationMode(step.filter))
        case CropMiddle():
            return v2.CenterCrop(step.size)


def _without_ends(image: Image.Image, longest_ratio: int) -> Image.Image:
    """Cut the ends off a very long image: :class:`src.run.preprocessing_steps.WithoutEnds`."""
    shorter = min(image.size)
    left, top = (
        max(side - longest_ratio * shorter, 0) // (4 * shorter) * (2 * shorter)
        for side in image.size
    )
    if not left and not top:
        return image
    return image.crop((left, top, image.width - left, image.height - top))
