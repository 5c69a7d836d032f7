"""Fold a BatchNorm into the convolution before it.

With running statistics, BatchNorm is an affine function of each channel. A convolution with scaled
filters and a shifted bias computes both.
"""

from __future__ import annotations

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from src.graph_passes import _graph


def rewrite(graph_module: fx.GraphModule) -> int:
    """Fold each BatchNorm that is the only reader of a convolution."""
    count = 0
    for node, norm in _graph.calls_of(graph_module, nn.BatchNorm2d):
        before = _graph.input_of(node)
        convolution = _graph.module_at(graph_module, before, nn.Conv2d)
        if (
            before is None
            or convolution is None
            or _graph.only_user(before) is not node
            or norm.running_mean is None
            or norm.running_var is None
        ):
            continue
        _graph.replace_module(graph_module, before, fuse_conv_bn_eval(convolution, norm))
        _graph.bypass(graph_module, node, before)
        count += 1
    return count
