"""What rewrites ask of a torch.fx graph, and how they change it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, fx, nn

Kind = TypeVar("Kind", bound=nn.Module)

# Functions of each element alone, so that they commute with a permutation of the axes.
_ELEMENTWISE_MODULES = (nn.GELU, nn.ReLU, nn.SiLU, nn.Sigmoid, nn.Hardswish, nn.Hardsigmoid)


def module_at(graph_module: fx.GraphModule, node: object, kind: type[Kind]) -> Kind | None:
    """The module that ``node`` calls with one argument, if it is one of exactly this class.

    A subclass may compute something else with the same parameters.
    """
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    module = graph_module.get_submodule(str(node.target))
    return module if type(module) is kind and len(node.args) == 1 and not node.kwargs else None


def calls_of(graph_module: fx.GraphModule, kind: type[Kind]) -> Iterator[tuple[fx.Node, Kind]]:
    """Each call of a module of exactly this class, in the order of the graph."""
    for node in list(graph_module.graph.nodes):
        module = module_at(graph_module, node, kind)
        if module is not None:
            yield node, module


def input_of(node: fx.Node) -> fx.Node | None:
    """The node's first argument."""
    first = node.args[0] if node.args else None
    return first if isinstance(first, fx.Node) else None


def only_user(node: fx.Node) -> fx.Node | None:
    """The one node that reads ``node``, or None if there are more, or none."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def constant_at(graph_module: fx.GraphModule, node: object) -> Tensor | None:
    """The parameter or buffer that ``node`` gets."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    owner, _, name = str(node.target).rpartition(".")
    value = getattr(graph_module.get_submodule(owner), name)
    return value if isinstance(value, Tensor) else None


def is_elementwise(graph_module: fx.GraphModule, node: fx.Node) -> bool:
    """Whether ``node`` is a function of each element of its one input."""
    return any(module_at(graph_module, node, kind) is not None for kind in _ELEMENTWISE_MODULES)


def permutation_of(node: fx.Node) -> tuple[int, ...] | None:
    """The order that ``node`` brings its input's axes into, none of it negative."""
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


def put(graph_module: fx.GraphModule, node: fx.Node, module: nn.Module) -> None:
    """Let ``node`` call ``module`` instead; other calls of what it called keep that."""
    target = str(node.target)
    others = [
        each
        for each in graph_module.graph.nodes
        if each.op == "call_module" and each.target == target and each is not node
    ]
    node.target = unused_name(graph_module, target) if others else target
    graph_module.add_submodule(str(node.target), module)


def insert_module(
    graph_module: fx.GraphModule, after: fx.Node, name: str, module: nn.Module
) -> fx.Node:
    """A new call of ``module`` on ``after``; who read ``after`` still reads it."""
    name = unused_name(graph_module, name)
    graph_module.add_submodule(name, module)
    with graph_module.graph.inserting_after(after):
        return graph_module.graph.call_module(name, (after,))


def insert_permutation(
    graph_module: fx.GraphModule, after: fx.Node, order: tuple[int, ...]
) -> fx.Node:
    """A new permutation of the axes of ``after``; who read ``after`` still reads it."""
    with graph_module.graph.inserting_after(after):
        return graph_module.graph.call_function(torch.permute, (after, list(order)))


def bypass(graph_module: fx.GraphModule, node: fx.Node, value: fx.Node) -> None:
    """Take ``node`` out; who read it reads ``value``."""
    node.replace_all_uses_with(value)
    graph_module.graph.erase_node(node)


def unused_name(graph_module: fx.GraphModule, name: str) -> str:
    """``name``, with a number if it is taken."""
    taken = {each for each, _ in graph_module.named_modules()}
    number = 0
    fresh = name
    while fresh in taken:
        number += 1
        fresh = f"{name}_{number}"
    return fresh
