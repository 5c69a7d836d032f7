"""Reuse the result of a concatenation in a later one that begins with the same tensors.

Each layer of DenseNet concatenates all earlier outputs, so the k-th layer copies k tensors, in
small pieces if the channels are the innermost axis. The previous layer has concatenated all but
the last already: ``cat([a, b, c])`` is ``cat([cat([a, b]), c])``.
"""

from __future__ import annotations

import torch
from torch import fx

from src.graph_passes import in_place


def rewrite(graph_module: fx.GraphModule) -> int:
    """Use the longest earlier concatenation with which a later one begins."""
    count = 0
    modified = in_place.modified(graph_module)
    known: dict[tuple[tuple[fx.Node, ...], int], fx.Node] = {}
    for node in list(graph_module.graph.nodes):
        concatenation = _concatenation(node)
        if concatenation is None:
            continue
        tensors, axis = concatenation
        for length in range(len(tensors) - 1, 1, -1):
            earlier = known.get((tensors[:length], axis))
            if earlier is not None:
                node.args = ([earlier, *tensors[length:]], axis)
                node.kwargs = {}
                count += 1
                break
        if node not in modified:
            known.setdefault((tensors, axis), node)
    return count


def _concatenation(node: fx.Node) -> tuple[tuple[fx.Node, ...], int] | None:
    """Return the tensors that ``node`` concatenates and the axis; None for other nodes."""
    if node.op != "call_function" or node.target is not torch.cat:
        return None
    arguments = dict(zip(("tensors", "dim"), node.args, strict=False)) | node.kwargs
    tensors, axis = arguments.get("tensors"), arguments.get("dim", 0)
    if set(arguments) > {"tensors", "dim"} or not isinstance(tensors, list | tuple):
        return None
    nodes = tuple(tensor for tensor in tensors if isinstance(tensor, fx.Node))
    if len(nodes) != len(tensors) or not isinstance(axis, int):
        return None
    return nodes, axis
