"""Replace a BatchNorm that follows no convolution by a depthwise 1x1 convolution.

DenseNet normalizes before it convolves (He et al., 2016, arXiv 1603.05027), with an activation
between the two, so no convolution can absorb the BatchNorm. Int8 runtimes have no kernel for
BatchNorm, but they have one for depthwise convolutions and fuse the activation into it.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from src.graph_passes import _graph


def rewrite(graph_module: fx.GraphModule) -> int:
    """Replace each BatchNorm over images that has running statistics."""
    count = 0
    for node, norm in _graph.calls_of(graph_module, nn.BatchNorm2d):
        if norm.running_mean is None or norm.running_var is None:
            continue
        scale, shift = scale_and_shift(norm)
        channels = norm.num_features
        convolution = nn.Conv2d(channels, channels, 1, groups=channels)
        convolution.weight.copy_(scale.reshape(channels, 1, 1, 1))
        convolution.bias = nn.Parameter(shift.to(convolution.weight.dtype))
        _graph.replace_module(graph_module, node, convolution)
        count += 1
    return count


def scale_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return what a BatchNorm with running statistics computes, scale * x + shift, by channel.

    Both are in double precision, so that only the weights made of them are rounded.

    Raises:
        ValueError: it has no running statistics.
    """
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a BatchNorm without running statistics is no affine function")
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    if norm.bias is not None:
        shift = shift + norm.bias
    return scale, shift
