"""Remove identities of eval mode: dropout, stochastic depth, concatenations of one tensor."""

from __future__ import annotations

import torch
from torch import fx, nn
from torch.nn import functional

from src.graph_passes import _graph, in_place

_MODULES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


def rewrite(graph_module: fx.GraphModule) -> int:
    """Let the readers of each identity read its input."""
    count = 0
    modified = in_place.modified(graph_module)
    for node in list(graph_module.graph.nodes):
        value = _unchanged_input(graph_module, node, modified)
        if value is not None:
            _graph.bypass(graph_module, node, value)
            count += 1
    return count


def _unchanged_input(
    graph_module: fx.GraphModule, node: fx.Node, modified: set[fx.Node]
) -> fx.Node | None:
    """Return the input of an identity; None for other nodes.

    A concatenation of one tensor is a copy. It stays if the copy is modified in place.
    """
    if any(_graph.module_at(graph_module, node, kind) is not None for kind in _MODULES):
        return _graph.input_of(node)
    if node.op != "call_function":
        return None
    if node.target is functional.dropout and node.kwargs.get("training") is False:
        return _graph.input_of(node)
    if _is_stochastic_depth(node):
        return _graph.input_of(node)
    if node.target is torch.cat and node not in modified:
        tensors = node.args[0]
        if isinstance(tensors, list | tuple) and len(tensors) == 1:
            return tensors[0] if isinstance(tensors[0], fx.Node) else None
    return None


def _is_stochastic_depth(node: fx.Node) -> bool:
    """Return True for torchvision's ``stochastic_depth`` with ``training=False``.

    The function is recognised by its name, so that this package imports torch only.
    """
    function = node.target
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__name__', '')}"
    parameters = ("input", "p", "mode", "training")
    arguments = dict(zip(parameters, node.args, strict=False)) | node.kwargs
    is_off = arguments.get("training") is False
    return is_off and name == "torchvision.ops.stochastic_depth.stochastic_depth"
