"""The nodes after which a network can be cut in two, so that its first part stays in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def cut_points(model: onnx.ModelProto) -> list[str]:
    """Return the nodes after which only one tensor is needed, if a convolution reads it, in order.

    The condition on the convolution keeps activation functions in one part, and leaves a
    convolution that runs in int8.

    Args:
        model: its nodes are in topological order, as ONNX requires.
    """
    nodes = model.graph.node
    last_read: dict[str, int] = {}
    read_by_convolution: set[str] = set()
    for position, node in enumerate(nodes):
        for name in node.input:
            last_read[name] = position
            if node.op_type == "Conv" and name == node.input[0]:
                read_by_convolution.add(name)
    names = []
    live = {graph_input.name for graph_input in model.graph.input} & last_read.keys()
    for position, node in enumerate(nodes):
        if node.op_type != "Constant":
            live |= set(node.output) & last_read.keys()
        live = {name for name in live if last_read[name] > position}
        if len(live) == 1 and live <= read_by_convolution and live <= set(node.output):
            names.append(node.name)
    return names


def nodes_up_to(model: onnx.ModelProto, name: str) -> list[str]:
    """Return the names of all nodes up to ``name``, in order; none for an empty name."""
    names = [node.name for node in model.graph.node]
    return names[: names.index(name) + 1] if name else []
