"""Replace a linear layer over the channels of an image by a 1x1 convolution.

Runtimes have their best kernels, layouts and int8 fusions for convolutions. The inserted
permutations are next to existing ones, and :mod:`src.graph_passes.permutations` cancels them.
"""

from __future__ import annotations

from torch import fx, nn

from src.graph_passes import _graph

TO_LAST = (0, 2, 3, 1)  # (N, C, H, W) -> (N, H, W, C)
TO_FIRST = (0, 3, 1, 2)  # (N, H, W, C) -> (N, C, H, W)


def rewrite(graph_module: fx.GraphModule) -> int:
    """Replace each linear layer whose input is an image with channels last."""
    count = 0
    channels_last: set[fx.Node] = set()  # nodes whose output is known to be (N, H, W, C)
    for node in list(graph_module.graph.nodes):
        before = _graph.input_of(node)
        if _graph.permutation_of(node) == TO_LAST:
            channels_last.add(node)
        elif before is not None and before in channels_last:
            linear = _graph.module_at(graph_module, node, nn.Linear)
            if linear is not None:
                channels_last.add(_replace(graph_module, node, before, linear))
                count += 1
            elif (
                _graph.is_elementwise(graph_module, node)
                or _graph.module_at(graph_module, node, nn.LayerNorm) is not None
            ):
                channels_last.add(node)
    return count


def _replace(
    graph_module: fx.GraphModule, node: fx.Node, before: fx.Node, linear: nn.Linear
) -> fx.Node:
    """Replace ``node`` by a permutation, a convolution and the inverse permutation.

    Return the last of them.
    """
    convolution = nn.Conv2d(
        linear.in_features, linear.out_features, 1, bias=linear.bias is not None
    )
    convolution.weight.copy_(linear.weight[:, :, None, None])
    if convolution.bias is not None and linear.bias is not None:
        convolution.bias.copy_(linear.bias)
    first = _graph.insert_permutation(graph_module, before, TO_FIRST)
    convolved = _graph.insert_module(graph_module, first, str(node.target), convolution)
    last = _graph.insert_permutation(graph_module, convolved, TO_LAST)
    _graph.bypass(graph_module, node, last)
    return last
