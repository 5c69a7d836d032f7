"""Fold a BatchNorm into the convolution before it, or into the one that reads it.

With running statistics, BatchNorm is an affine function of each channel. A convolution with scaled
filters and a shifted bias computes both.
"""

from __future__ import annotations

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from src.graph_passes import _graph
from src.graph_passes.batch_norm_as_convolution import scale_and_shift
from src.graph_passes.layer_norm_into_next import with_affine


def rewrite(graph_module: fx.GraphModule) -> int:
    """Fold each BatchNorm that is the only reader of a convolution, or has only one as reader."""
    return _into_earlier(graph_module) + _into_later(graph_module)


def _into_earlier(graph_module: fx.GraphModule) -> int:
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


def _into_later(graph_module: fx.GraphModule) -> int:
    count = 0
    for node, norm in _graph.calls_of(graph_module, nn.BatchNorm2d):
        before, reader = _graph.input_of(node), _graph.only_user(node)
        convolution = _graph.module_at(graph_module, reader, nn.Conv2d)
        if (
            before is None
            or reader is None
            or convolution is None
            or norm.running_mean is None
            # Padding adds zeros after the BatchNorm. A folded shift would be missing there.
            or isinstance(convolution.padding, str)
            or any(convolution.padding)
            or convolution.groups != 1
        ):
            continue
        folded = with_affine(convolution, *scale_and_shift(norm))
        _graph.replace_module(graph_module, reader, folded)
        _graph.bypass(graph_module, node, before)
        count += 1
    return count
