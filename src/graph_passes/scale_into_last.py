"""Fold a per-channel factor, such as ConvNeXt's layer scale, into the layer before it.

CaiT (Touvron et al., 2021, arXiv 2103.17239) introduced layer scale to train deep networks. After
training, the layer's weights and bias can be multiplied by it.
"""

from __future__ import annotations

import copy
import operator

import torch
from torch import Tensor, fx, nn

from src.graph_passes import _graph

_IMAGE_AXES = 4  # N, C, H, W


def rewrite(graph_module: fx.GraphModule) -> int:
    """Fold each product of a constant and the output of a linear layer or convolution."""
    count = 0
    for node in list(graph_module.graph.nodes):
        if node.op != "call_function" or node.target not in {operator.mul, torch.mul}:
            continue
        if len(node.args) != 2 or node.kwargs:  # noqa: PLR2004  # two factors
            continue
        for factor, value in (node.args, node.args[::-1]):
            constant = _graph.constant_at(graph_module, factor)
            if constant is None or not isinstance(value, fx.Node):
                continue
            if _fold(graph_module, constant, value):
                _graph.bypass(graph_module, node, value)
                count += 1
                break
    return count


def _fold(graph_module: fx.GraphModule, constant: Tensor, value: fx.Node) -> bool:
    """Scale the layer from which ``value`` comes, directly or through permutations.

    Return False if the constant is not a per-channel factor of such a layer.
    """
    if _graph.only_user(value) is None:
        return False
    orders = []
    layer = value
    while (order := _graph.permutation_of(layer)) is not None:
        before = _graph.input_of(layer)
        if before is None or _graph.only_user(before) is not layer:
            return False
        orders.append(order)
        layer = before
    old: nn.Conv2d | nn.Linear | None = _graph.module_at(graph_module, layer, nn.Conv2d)
    rank, axis = _IMAGE_AXES, 1
    if old is None and orders:
        old = _graph.module_at(graph_module, layer, nn.Linear)
        rank, axis = len(orders[0]), len(orders[0]) - 1
    if old is None:
        return False
    for order in reversed(orders):  # follow the channels' axis through the permutations
        axis = order.index(axis)
    shape = [1] * rank
    shape[axis] = old.weight.shape[0]
    if [1] * (rank - constant.dim()) + list(constant.shape) != shape:
        return False
    new = copy.deepcopy(old)
    factors = constant.flatten()
    new.weight.copy_(old.weight * factors.reshape(-1, *[1] * (old.weight.dim() - 1)))
    if new.bias is not None and old.bias is not None:
        new.bias.copy_(old.bias * factors)
    _graph.replace_module(graph_module, layer, new)
    return True
