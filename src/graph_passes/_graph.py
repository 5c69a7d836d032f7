"""Queries and edits of a torch.fx graph that the rewrites share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, fx, nn

Kind = TypeVar("Kind", bound=nn.Module)

# Element-wise functions, which commute with a permutation of the axes.
_ELEMENTWISE_MODULES = (nn.GELU, nn.ReLU, nn.SiLU, nn.Sigmoid, nn.Hardswish, nn.Hardsigmoid)


def module_at(graph_module: fx.GraphModule, node: object, kind: type[Kind]) -> Kind | None:
    """Return the module that ``node`` calls with one argument, if its class is exactly ``kind``.

    Return None otherwise. A subclass may compute something else with the same parameters.
    """
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    module = graph_module.get_submodule(str(node.target))
    return module if type(module) is kind and len(node.args) == 1 and not node.kwargs else None


def calls_of(graph_module: fx.GraphModule, kind: type[Kind]) -> Iterator[tuple[fx.Node, Kind]]:
    """Yield each call of a module whose class is exactly ``kind``, in the order of the graph."""
    for node in list(graph_module.graph.nodes):
        module = module_at(graph_module, node, kind)
        if module is not None:
            yield node, module


def input_of(node: fx.Node) -> fx.Node | None:
    """Return a node's first argument, if that is a node; None otherwise."""
    first = node.args[0] if node.args else None
    return first if isinstance(first, fx.Node) else None


def only_user(node: fx.Node) -> fx.Node | None:
    """Return the only node that reads ``node``; None if there are several or none."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def constant_at(graph_module: fx.GraphModule, node: object) -> Tensor | None:
    """Return the parameter or buffer that ``node`` reads; None if it reads no tensor."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    owner, _, name = str(node.target).rpartition(".")
    value = getattr(graph_module.get_submodule(owner), name)
    return value if isinstance(value, Tensor) else None


def is_elementwise(graph_module: fx.GraphModule, node: fx.Node) -> bool:
    """Return True if ``node`` applies an element-wise function to one input."""
    return any(module_at(graph_module, node, kind) is not None for kind in _ELEMENTWISE_MODULES)


def permutation_of(node: fx.Node) -> tuple[int, ...] | None:
    """Return the order of axes, without negative numbers, of a permutation; None for others."""
    if (node.op, node.target) not in {
        ("call_method", "permute"),
        ("call_function", torch.permute),
    } or node.kwargs:
        return None
    rest = node.args[1:]
    order = rest[0] if len(rest) == 1 and isinstance(rest[0], list | tuple) else rest
    axes = tuple(axis for axis in order if isinstance(axis, int))
    if len(axes) != len(order):
        return None
    return tuple(axis % len(axes) for axis in axes)


def replace_module(graph_module: fx.GraphModule, node: fx.Node, module: nn.Module) -> None:
    """Let ``node`` call ``module`` instead. Other calls of the earlier module do not change."""
    target = str(node.target)
    is_shared = any(
        other.op == "call_module" and other.target == target and other is not node
        for other in graph_module.graph.nodes
    )
    node.target = unused_name(graph_module, target) if is_shared else target
    graph_module.add_submodule(str(node.target), module)


def insert_module(
    graph_module: fx.GraphModule, after: fx.Node, name: str, module: nn.Module
) -> fx.Node:
    """Insert a call of ``module`` on ``after`` and return it. Readers of ``after`` stay."""
    name = unused_name(graph_module, name)
    graph_module.add_submodule(name, module)
    with graph_module.graph.inserting_after(after):
        return graph_module.graph.call_module(name, (after,))


def insert_permutation(
    graph_module: fx.GraphModule, after: fx.Node, order: tuple[int, ...]
) -> fx.Node:
    """Insert a permutation of ``after`` and return it. Readers of ``after`` stay."""
    with graph_module.graph.inserting_after(after):
        return graph_module.graph.call_function(torch.permute, (after, list(order)))


def bypass(graph_module: fx.GraphModule, node: fx.Node, value: fx.Node) -> None:
    """Remove ``node``. Its readers read ``value`` instead."""
    node.replace_all_uses_with(value)
    graph_module.graph.erase_node(node)


def unused_name(graph_module: fx.GraphModule, name: str) -> str:
    """Return ``name``, with a number if a module has that name already."""
    taken = {module_name for module_name, _ in graph_module.named_modules()}
    number = 0
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate
