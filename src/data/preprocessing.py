"""The evaluation preprocessing: one object that training, export and prediction share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor
    from torchvision.transforms import v2

# squash: both sides to image_size, the aspect ratio is not kept.
# crop: the shorter side to image_size / crop_share, then the middle image_size x image_size.
# Before it is resized, a picture more than LONGEST_RATIO times as long as wide loses its ends.
ResizeRule = Literal["squash", "crop"]
Interpolation = Literal["bilinear", "bicubic"]

CROP_SHARE = 0.875  # torchvision's: 224 of 256

# The middle of a picture and all that the filters see around it are within this many times its
# shorter side, so that what lies beyond need not be resized: 1 x 1,000,000 pixels would become
# 256 x 256,000,000.
LONGEST_RATIO = 32

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """From a picture to the network's input.

    RGB, resized by Pillow (antialiased), scaled to [0, 1], then ``(value - mean) / std`` per
    channel.
    """

    image_size: int  # pixels
    resize: ResizeRule = "squash"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: Interpolation = "bilinear"
    crop_share: float = CROP_SHARE  # of the resized picture's side that is cropped out

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """One image as the network sees it: (3, H, W)."""
        return (3, self.image_size, self.image_size)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they travel inside every exported file."""
        return {
            **asdict(self),
            "mean": list(self.mean),
            "std": list(self.std),
            "color": "RGB",
            "crop_share": self.crop_share if self.resize == "crop" else None,
            "scale": 1 / 255,
            "layout": "NCHW",
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The preprocessing that an exported file names: see :meth:`to_dict`."""
        given: dict[str, Any] = {
            field.name: tuple(value) if isinstance(value, list) else value
            for field in fields(cls)
            if (value := values.get(field.name)) is not None
        }
        return cls(**given)

    def __call__(self, image: Image.Image) -> Tensor:
        """The network's input for one picture: (3, H, W) float32."""
        from torchvision.transforms import v2

        tensor: Tensor = v2.Compose([self.spatial(), self.to_tensor()])(image)
        return tensor

    def spatial(self) -> v2.Transform:
        """The resizing alone: picture in, picture out."""
        from torchvision.transforms import v2

        rule = v2.InterpolationMode(self.interpolation)
        if self.resize == "squash":
            return v2.Resize((self.image_size, self.image_size), interpolation=rule)
        side = round(self.image_size / self.crop_share)
        return v2.Compose(
            [
                v2.Lambda(without_ends),
                v2.Resize(side, interpolation=rule),
                v2.CenterCrop(self.image_size),
            ]
        )

    def to_tensor(self) -> v2.Transform:
        """What follows resizing and augmentation: uint8 picture to normalised (3, H, W) float32."""
        from torchvision.transforms import v2

        return v2.Compose([v2.ToImage(), v2.Lambda(self.normalised)])

    def normalised(self, levels: Tensor) -> Tensor:
        """Levels from 0 to 255, uint8 (..., 3, H, W), as the network's input, float32."""
        import torch
        from torchvision.transforms.v2 import functional

        scaled = functional.to_dtype(levels, torch.float32, scale=True)
        normalised: Tensor = functional.normalize(scaled, list(self.mean), list(self.std))
        return normalised


def without_ends(image: Image.Image) -> Image.Image:
    """A picture without what is far beyond ``LONGEST_RATIO``, as much on either side; most as is.

    The ends are multiples of twice the shorter side, so that the resized picture is shorter by a
    multiple of 4 pixels: its middle lies where it would be in the whole.
    """
    shorter = min(image.size)
    left, top = (
        max(side - LONGEST_RATIO * shorter, 0) // (4 * shorter) * (2 * shorter)
        for side in image.size
    )
    if not left and not top:
        return image
    return image.crop((left, top, image.width - left, image.height - top))
