"""Write the mean over an image as the operator that has an int8 kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_IMAGE_AXES = 4  # N, C, H, W


def use_global_average_pool(model: onnx.ModelProto) -> int:
    """Turn each ReduceMean over height and width into a GlobalAveragePool and return their number.

    PyTorch exports its global pooling as ReduceMean, which ONNX Runtime's quantizer leaves in
    float, with a DequantizeLinear before it over the whole image and a QuantizeLinear after it.

    Args:
        model: with the shapes of its values, as the exporter writes them.
    """
    from onnx import helper, numpy_helper

    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*model.graph.value_info, *model.graph.input)
    }
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    constants |= {
        node.output[0]: node.attribute[0].t
        for node in model.graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    count = 0
    for node in model.graph.node:
        if node.op_type != "ReduceMean" or constants.keys().isdisjoint(node.input[1:]):
            continue
        keep = next((value.i for value in node.attribute if value.name == "keepdims"), 1)
        axes = {int(axis) % _IMAGE_AXES for axis in numpy_helper.to_array(constants[node.input[1]])}
        if ranks.get(node.input[0]) != _IMAGE_AXES or axes != {2, 3} or not keep:
            continue
        node.CopyFrom(
            helper.make_node("GlobalAveragePool", node.input[:1], node.output, name=node.name)
        )
        count += 1
    _remove_unread(model)
    return count


def _remove_unread(model: onnx.ModelProto) -> None:
    """Remove the constant axes: ONNX Runtime would warn about them at each load."""
    read = {name for node in model.graph.node for name in node.input}
    unread = [tensor for tensor in model.graph.initializer if tensor.name not in read]
    for tensor in unread:
        model.graph.initializer.remove(tensor)
