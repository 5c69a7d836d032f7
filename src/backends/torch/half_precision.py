"""A network in 16 bits between images and logits in fp32. Importing this imports torch."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn

NarrowType = Literal["float16", "bfloat16"]


class Narrow(nn.Module):
    """Runs a network in 16 bits: (N, 3, H, W) float32 to (N, K) float32.

    Args:
        network: the same with images and logits in ``dtype``, its weights channels-last.
        dtype: torch's name of the type.
    """

    def __init__(self, network: nn.Module, dtype: NarrowType) -> None:
        super().__init__()
        self.network = network
        self.dtype: torch.dtype = getattr(torch, dtype)

    def forward(self, images: Tensor) -> Tensor:
        # cuDNN's 16-bit convolutions read channels-last memory and would copy other layouts.
        narrow = images.to(self.dtype).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network(narrow)
        return logits.float()


def narrowed(network: nn.Module, dtype: NarrowType) -> Narrow:
    """A copy of ``network`` in ``dtype`` and channels-last; the given one is not changed."""
    inner = copy.deepcopy(network)
    inner.to(dtype=getattr(torch, dtype)).to(memory_format=torch.channels_last)
    return Narrow(inner, dtype).eval()
