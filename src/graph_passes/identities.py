"""Take out what does nothing in eval mode: dropout, stochastic depth, a concatenation of one."""

from __future__ import annotations

import torch
from torch import fx, nn
from torch.nn import functional

from src.graph_passes import _graph

_MODULES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


def rewrite(graph_module: fx.GraphModule) -> int:
    """Let the readers of each such part read its input: how many there were."""
    count = 0
    for node in list(graph_module.graph.nodes):
        value = _passed_on(graph_module, node)
        if value is not None:
            _graph.bypass(graph_module, node, value)
            count += 1
    return count


def _passed_on(graph_module: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The value that ``node`` hands on as it is."""
    if any(_graph.module_at(graph_module, node, kind) is not None for kind in _MODULES):
        return _graph.input_of(node)
    if node.op != "call_function":
        return None
    if node.target is functional.dropout and node.kwargs.get("training") is False:
        return _graph.input_of(node)
    if _is_stochastic_depth(node):
        return _graph.input_of(node)
    if node.target is torch.cat and not _is_changed(graph_module, node):
        parts = node.args[0]
        if isinstance(parts, list | tuple) and len(parts) == 1 and isinstance(parts[0], fx.Node):
            return parts[0]
    return None


def _is_stochastic_depth(node: fx.Node) -> bool:
    """Torchvision's function with ``training`` false, known by its name: torch alone is needed."""
    function = node.target
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__name__', '')}"
    given = dict(zip(("input", "p", "mode", "training"), node.args, strict=False)) | node.kwargs
    off = given.get("training") is False
    return off and name == "torchvision.ops.stochastic_depth.stochastic_depth"


def _is_changed(graph_module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a reader of ``node`` may write into it: a concatenation is a copy."""
    return any(
        user.op != "call_module"
        or getattr(graph_module.get_submodule(str(user.target)), "inplace", False)
        for user in node.users
    )
