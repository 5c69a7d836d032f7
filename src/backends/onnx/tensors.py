"""Values of the tensors of an ONNX file: constants, activations, quantized values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from src.backends.onnx.runtime import INPUT
from src.run.call_size import calls_of
from src.run.file_input import Batch

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]
_BATCH = 8  # images at most, of which all activations asked for are in memory at once


def constants(model: onnx.ModelProto) -> dict[str, Array]:
    """Return the initializers by name."""
    import onnx

    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def readers(model: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """Return the nodes that read each tensor, as often as they read it."""
    nodes: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            nodes.setdefault(name, []).append(node)
    return nodes


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    import onnx

    return {value.name: onnx.helper.get_attribute_value(value) for value in node.attribute}


def activations(
    model: onnx.ModelProto, names: Iterable[str], images: Batch
) -> Iterator[dict[str, Array]]:
    """Yield the values of some tensors, batch by batch of ``images`` (n, 3, H, W)."""
    import onnx
    import onnxruntime as ort

    wanted = list(dict.fromkeys(names))
    more = onnx.ModelProto()
    more.CopyFrom(model)
    known = {tensor.name for tensor in (*more.graph.output, *more.graph.input)}
    more.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in known)
    inputs = [name for name in wanted if name == INPUT]
    outputs = [name for name in wanted if name != INPUT]
    session = ort.InferenceSession(more.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in calls_of(images, _BATCH):
        # An empty list of outputs would mean all outputs.
        arrays = session.run(outputs, {INPUT: batch}) if outputs else []
        values = dict(zip(outputs, arrays, strict=True))
        yield values | dict.fromkeys(inputs, batch)


def dequantized_weights(quantized: onnx.ModelProto) -> dict[str, Array]:
    """Return the weights that a QDQ file computes with, under the names that they had in float."""
    from onnxruntime.quantization.quant_utils import TENSOR_NAME_QUANT_SUFFIX

    values = constants(quantized)
    weights = {}
    for node in quantized.graph.node:
        name = node.input[0] if node.input else ""
        if node.op_type != "DequantizeLinear" or not name.endswith(TENSOR_NAME_QUANT_SUFFIX):
            continue
        if name not in values:
            continue  # an activation
        scale, zero = values[node.input[1]], values[node.input[2]]
        if scale.size > 1:
            shape = [1] * values[name].ndim
            shape[attributes(node)["axis"]] = -1
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        steps = values[name].astype(np.float32) - zero.astype(np.float32)
        weights[name.removesuffix(TENSOR_NAME_QUANT_SUFFIX)] = steps * scale
    return weights


def grids(quantized: onnx.ModelProto) -> dict[str, tuple[Array, Array]]:
    """Return scale and zero point of each quantized activation, by its name in float."""
    from onnxruntime.quantization.quant_utils import QUANT_INPUT_SUFFIX

    values = constants(quantized)
    return {
        node.input[0].removesuffix(QUANT_INPUT_SUFFIX): (
            values[node.input[1]],
            values[node.input[2]],
        )
        for node in quantized.graph.node
        if node.op_type == "QuantizeLinear"
    }


def on_grid(value: Array, scale: Array, zero: Array) -> Array:
    """Quantize and dequantize ``value``: round it to the grid and clip it to its ends."""
    ends = np.iinfo(zero.dtype)
    steps = np.clip(np.rint(value / scale) + zero, ends.min, ends.max)
    rounded: Array = (steps - zero.astype(np.float32)) * scale
    return rounded
