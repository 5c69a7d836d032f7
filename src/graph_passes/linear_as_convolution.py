"""Write a linear layer over the channels of an image as a 1x1 convolution.

Runtimes have their best kernels, layouts and int8 fusions for convolutions. The permutations
that this puts in meet those that were there; :mod:`src.graph_passes.permutations` cancels them.
"""

from __future__ import annotations

from torch import fx, nn

from src.graph_passes import _graph

TO_LAST = (0, 2, 3, 1)  # (N, C, H, W) -> (N, H, W, C)
TO_FIRST = (0, 3, 1, 2)  # and back


def rewrite(graph_module: fx.GraphModule) -> int:
    """Replace each linear layer whose input is an image with its channels last."""
    count = 0
    last: set[fx.Node] = set()  # values known to be (N, H, W, C)
    for node in list(graph_module.graph.nodes):
        before = _graph.input_of(node)
        if _graph.permutation_of(node) == TO_LAST:
            last.add(node)
        elif before is not None and before in last:
            linear = _graph.module_at(graph_module, node, nn.Linear)
            if linear is not None:
                last.add(_replace(graph_module, node, before, linear))
                count += 1
            elif (
                _graph.is_elementwise(graph_module, node)
                or _graph.module_at(graph_module, node, nn.LayerNorm) is not None
            ):
                last.add(node)
    return count


def _replace(
    graph_module: fx.GraphModule, node: fx.Node, before: fx.Node, linear: nn.Linear
) -> fx.Node:
    """Put permutation, convolution, permutation in the place of ``node``: the last of them."""
    convolution = nn.Conv2d(
        linear.in_features, linear.out_features, 1, bias=linear.bias is not None
    )
    convolution.weight.copy_(linear.weight[:, :, None, None])
    if convolution.bias is not None and linear.bias is not None:
        convolution.bias.copy_(linear.bias)
    first = _graph.insert_permutation(graph_module, before, TO_FIRST)
    convolved = _graph.insert_module(graph_module, first, str(node.target), convolution)
    again = _graph.insert_permutation(graph_module, convolved, TO_LAST)
    _graph.bypass(graph_module, node, again)
    return again
