"""A BatchNorm in the place of a LayerNorm: at inference it is folded into the layer before it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_IMAGE_AXES, _TOKEN_AXES = 4, 3
_CLOSE = 1e-3  # of normalised values


class ImageBatchNorm(nn.Module):
    """BatchNorm over the channels of images with the channels first or last.

    Args:
        channels: number of channels.
        eps: added to the variance.
        channels_last: images are (N, H, W, C) instead of (N, C, H, W).
    """

    def __init__(self, channels: int, eps: float, *, channels_last: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=eps)
        self.channels_last = channels_last

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalised images, in their layout."""
        if not self.channels_last:
            normed: Tensor = self.norm(images)
            return normed
        first: Tensor = self.norm(images.permute(0, 3, 1, 2))
        return first.permute(0, 2, 3, 1)


class TokenBatchNorm(nn.Module):
    """BatchNorm over the last axis of tokens (N, L, C) or vectors (N, C)."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels, eps=eps)

    def forward(self, values: Tensor) -> Tensor:
        """Return the normalised values, (N, L, C) or (N, C)."""
        normed: Tensor = self.norm(values.transpose(1, -1))
        return normed.transpose(1, -1)


def batch_norm(module: nn.Module, shape: Sequence[int]) -> nn.Module:
    """Return a BatchNorm that begins with the weights of a LayerNorm.

    Raises:
        ValueError: there is no such BatchNorm for that input.
    """
    if not isinstance(module, nn.LayerNorm):
        raise TypeError(f"expected a LayerNorm, found {type(module).__name__}")
    [channels] = module.normalized_shape
    last = not shape or _normalises_last(module, shape)
    if len(shape) == _IMAGE_AXES:
        new: nn.Module = ImageBatchNorm(channels, module.eps, channels_last=last)
    elif last and len(shape) <= _TOKEN_AXES:
        new = TokenBatchNorm(channels, module.eps)
    else:
        raise ValueError(f"no BatchNorm for an input of {len(shape)} axes")
    norm = new.norm
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)  # noqa: S101  # for mypy
    if module.elementwise_affine:
        norm.weight.data.copy_(module.weight.data)
        if module.bias is not None:
            norm.bias.data.copy_(module.bias.data)
    return new


def _normalises_last(module: nn.LayerNorm, shape: Sequence[int]) -> bool:
    """Return True if a LayerNorm normalises the last axis of an input, False for the second one.

    Its class does not say it: subclasses in torchvision and timm exist for both layouts.

    Raises:
        ValueError: it computes something else.
    """
    with torch.no_grad():
        values = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
        values = values.to(next(iter(module.parameters()), values).device)
        normalised = module(values)
        for axis in (-1, 1):
            moved = values.movedim(axis, -1)
            if moved.shape[-1:] != tuple(module.normalized_shape):
                continue
            expected = functional.layer_norm(
                moved, moved.shape[-1:], module.weight, module.bias, module.eps
            )
            if torch.allclose(normalised.movedim(axis, -1), expected, rtol=_CLOSE, atol=_CLOSE):
                return axis == -1
    raise ValueError(f"{type(module).__name__} normalises neither the last nor the second axis")
