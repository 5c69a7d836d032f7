"""Fold a LayerNorm's weight and bias into the linear layer or convolution that reads it.

The normalization stays, without parameters.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from src.graph_passes import _graph

_IMAGE_AXES = 4  # N, C, H, W


def rewrite(graph_module: fx.GraphModule) -> int:
    """Fold each LayerNorm over the last axis whose only reader is such a layer."""
    _functions_to_modules(graph_module)
    count = 0
    for node, norm in _graph.calls_of(graph_module, nn.LayerNorm):
        if len(norm.normalized_shape) != 1 or not norm.elementwise_affine:
            continue
        reader = _reader(graph_module, node, norm.normalized_shape[0])
        if reader is None:
            continue
        layer, old = reader
        _graph.replace_module(graph_module, layer, with_affine(old, norm.weight, norm.bias))
        bare = nn.LayerNorm(norm.normalized_shape, eps=norm.eps, elementwise_affine=False)
        _graph.replace_module(graph_module, node, bare)
        count += 1
    return count


def _functions_to_modules(graph_module: fx.GraphModule) -> None:
    """Turn calls of ``functional.layer_norm``, as in torchvision's LayerNorm2d, into modules."""
    for node in list(graph_module.graph.nodes):
        if node.op != "call_function" or node.target is not functional.layer_norm:
            continue
        names = ("input", "normalized_shape", "weight", "bias", "eps")
        arguments = dict(zip(names, node.args, strict=False)) | node.kwargs
        value, shape = arguments["input"], arguments["normalized_shape"]
        if not isinstance(shape, list | tuple) or not all(isinstance(side, int) for side in shape):
            continue  # computed from the input
        weight = _graph.constant_at(graph_module, arguments.get("weight"))
        bias = _graph.constant_at(graph_module, arguments.get("bias"))
        if not isinstance(value, fx.Node) or weight is None or bias is None:
            continue
        module = nn.LayerNorm(list(shape), eps=arguments.get("eps", 1e-5))
        module.weight.copy_(weight)
        module.bias.copy_(bias)
        new = _graph.insert_module(graph_module, value, "layer_norm", module)
        _graph.bypass(graph_module, node, new)


def _reader(
    graph_module: fx.GraphModule, norm: fx.Node, channels: int
) -> tuple[fx.Node, nn.Linear | nn.Conv2d] | None:
    """Return the layer that reads ``norm``, directly or after permutations and flattening.

    Return None if there is no such layer or it cannot absorb the affine part. Flattening is
    allowed for 1x1 images only.
    """
    axis = -1  # the axis of the channels
    rank: int | None = None  # known after a permutation only
    before, node = norm, _graph.only_user(norm)
    while node is not None and _graph.input_of(node) is before:
        linear = _graph.module_at(graph_module, node, nn.Linear)
        if linear is not None:
            last = axis == -1 or (rank is not None and axis == rank - 1)
            return (node, linear) if last and linear.in_features == channels else None
        convolution = _graph.module_at(graph_module, node, nn.Conv2d)
        if convolution is not None:
            # Padding adds zeros after the LayerNorm. A folded bias would be missing there.
            foldable = convolution.groups == 1 and not any(convolution.padding)
            return (node, convolution) if foldable and (axis, rank) == (1, _IMAGE_AXES) else None
        order = _graph.permutation_of(node)
        if order is not None:
            rank = len(order)
            axis = order.index(axis % rank)
        elif axis == 1 and _flattens_images(graph_module, node):
            rank = 2  # the linear layer's width shows later whether each image is one pixel
        else:
            return None
        before, node = node, _graph.only_user(node)
    return None


def _flattens_images(graph_module: fx.GraphModule, node: fx.Node) -> bool:
    """Return True if ``node`` reshapes (N, C, H, W) to (N, C * H * W)."""
    flatten = _graph.module_at(graph_module, node, nn.Flatten)
    if flatten is not None:
        return flatten.start_dim == 1 and flatten.end_dim == -1
    return node.target is torch.flatten and node.args[1:] in {(1,), (1, -1)} and not node.kwargs


def with_affine(
    old: nn.Linear | nn.Conv2d, weight: Tensor, bias: Tensor | None
) -> nn.Linear | nn.Conv2d:
    """Return a layer whose output for x equals that of ``old`` for ``weight * x + bias``."""
    new = copy.deepcopy(old)
    matrix = old.weight.double()  # (out, in) or (out, in, height, width)
    new.weight.copy_(matrix * weight.reshape(1, -1, *[1] * (matrix.dim() - 2)))
    if bias is not None:
        shift = torch.einsum("oi...,i->o", matrix, bias.double())
        if old.bias is not None:
            shift = shift + old.bias
        new.bias = nn.Parameter(shift.to(old.weight.dtype))
    return new
