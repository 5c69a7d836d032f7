"""Let a concatenation that begins like another one take that one's result.

Each layer of DenseNet concatenates all outputs before it, so the k-th copies k pieces, small
ones where the channels are innermost. What the layer before it concatenated is there already:
``cat([a, b, c])`` is ``cat([cat([a, b]), c])``.
"""

from __future__ import annotations

import torch
from torch import fx


def rewrite(graph_module: fx.GraphModule) -> int:
    """Use the longest earlier concatenation that a later one begins with: how many do."""
    count = 0
    known: dict[tuple[tuple[fx.Node, ...], int], fx.Node] = {}
    for node in list(graph_module.graph.nodes):
        found = _pieces(node)
        if found is None:
            continue
        pieces, axis = found
        for length in range(len(pieces) - 1, 1, -1):
            earlier = known.get((pieces[:length], axis))
            if earlier is not None:
                node.args = ([earlier, *pieces[length:]], axis)
                node.kwargs = {}
                count += 1
                break
        known.setdefault((pieces, axis), node)
    return count


def _pieces(node: fx.Node) -> tuple[tuple[fx.Node, ...], int] | None:
    """What ``node`` concatenates, and along which axis."""
    if node.op != "call_function" or node.target is not torch.cat:
        return None
    given = dict(zip(("tensors", "dim"), node.args, strict=False)) | node.kwargs
    tensors, axis = given.get("tensors"), given.get("dim", 0)
    if set(given) > {"tensors", "dim"} or not isinstance(tensors, list | tuple):
        return None
    pieces = tuple(each for each in tensors if isinstance(each, fx.Node))
    if len(pieces) != len(tensors) or not isinstance(axis, int):
        return None
    return pieces, axis
