"""GELU as x times a sigmoid, which ONNX Runtime computes in int8.

ONNX Runtime has no int8 kernel for GELU: it dequantizes the tensor, computes GELU in float and
quantizes the result. It has int8 kernels for Sigmoid and Mul.
x sigmoid(1.702 x) differs from GELU by at most 0.02, which is about one step of the 8 bits:
Hendrycks and Gimpel, Gaussian Error Linear Units, 2016, section 2, https://arxiv.org/abs/1606.08415.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from src.backends.onnx import tensors

if TYPE_CHECKING:
    import onnx

_FACTOR = 1.702
_GELU = "Gelu"
_DEQUANTIZE = "DequantizeLinear"


def gelus(model: onnx.ModelProto) -> int:
    """Return the number of GELUs in a model."""
    return sum(node.op_type == _GELU for node in model.graph.node)


def replace_gelus(model: onnx.ModelProto) -> int:
    """Replace each GELU with a quantized input in place.

    The factor costs no time: the sigmoid reads the same bytes with a scale multiplied by it.

    Args:
        model: quantized, with QuantizeLinear and DequantizeLinear nodes.

    Returns:
        The number of replaced GELUs.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    made_by = {name: node for node in graph.node for name in node.output}
    scales = tensors.constants(model)
    kept: list[onnx.NodeProto] = []
    replaced = 0
    for node in graph.node:
        source = made_by.get(node.input[0]) if node.op_type == _GELU else None
        if source is None or source.op_type != _DEQUANTIZE:
            kept.append(node)
            continue
        quantized, scale, zero = source.input
        # The range of a sigmoid is 0 to 1. Its bytes have the type of the input's bytes.
        signed = scales[zero].dtype == np.int8
        name = f"{node.output[0]}_sigmoid"
        graph.initializer.extend(
            [
                numpy_helper.from_array(scales[scale] * np.float32(_FACTOR), f"{name}_in_scale"),
                numpy_helper.from_array(np.array(1 / 255, np.float32), f"{name}_scale"),
                helper.make_tensor(
                    f"{name}_zero",
                    TensorProto.INT8 if signed else TensorProto.UINT8,
                    [],
                    [-128 if signed else 0],
                ),
            ]
        )
        to_bytes = (f"{name}_scale", f"{name}_zero")
        for kind, inputs, output in (
            (_DEQUANTIZE, (quantized, f"{name}_in_scale", zero), f"{name}_in"),
            ("Sigmoid", (f"{name}_in",), f"{name}_out"),
            ("QuantizeLinear", (f"{name}_out", *to_bytes), f"{name}_bytes"),
            (_DEQUANTIZE, (f"{name}_bytes", *to_bytes), name),
        ):
            kept.append(helper.make_node(kind, inputs, [output], name=f"{output}_{kind}"))
        kept.append(helper.make_node("Mul", [node.input[0], name], node.output, name=node.name))
        replaced += 1
    del graph.node[:]
    graph.node.extend(kept)
    return replaced
