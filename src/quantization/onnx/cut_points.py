"""Where a network can be cut in two, so that its beginning stays in float."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_BEGINS_WITH = "Conv"


def cuts(model: onnx.ModelProto) -> list[str]:
    """The nodes behind which one tensor is all that is needed further on, in order.

    One that a convolution reads, so that no activation function is torn apart, and a convolution
    is left to run in int8.

    Args:
        model: its nodes in topological order, as ONNX asks for.
    """
    nodes = model.graph.node
    last_read: dict[str, int] = {}
    read_by_convolution: set[str] = set()
    for position, node in enumerate(nodes):
        for name in node.input:
            last_read[name] = position
            if node.op_type == _BEGINS_WITH and name == node.input[0]:
                read_by_convolution.add(name)
    found = []
    live = {each.name for each in model.graph.input} & last_read.keys()
    for position, node in enumerate(nodes):
        if node.op_type != "Constant":
            live |= set(node.output) & last_read.keys()
        live = {name for name in live if last_read[name] > position}
        if len(live) == 1 and live <= read_by_convolution and live <= set(node.output):
            found.append(node.name)
    return found


def nodes_up_to(model: onnx.ModelProto, name: str) -> list[str]:
    """The names of all nodes up to ``name``, in order; none for an empty name."""
    names = [node.name for node in model.graph.node]
    return names[: names.index(name) + 1] if name else []
