"""Which of ONNX Runtime's two int8 kernels multiplies a convolution, where there is AMX.

Weights with a zero point of 0 go to a kernel for symmetric convolutions, which knows the int8 dot
product (VNNI) and no more. With any other zero point the same convolution is laid out as a matrix
(im2col) and goes to the general product, which knows AMX as well: up to twice as fast where many
channels meet, and slower where the layout and the output cost more than the product gains.
``TryConvSymPrepack`` in onnxruntime/core/providers/cpu/quantization/qlinearconv.cc, and
``MlasGemmU8S8DispatchAmx`` in onnxruntime/core/mlas/lib/platform.cpp.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from src.backends.onnx import tensors
from src.backends.onnx.tensors import Array

if TYPE_CHECKING:
    import onnx

_ZERO_POINT = 1
_IMAGE = 3  # channels
_LEAST_PRODUCTS = 256  # an output
_LEAST_OUTPUTS = 96  # channels


def convolutions(quantized: onnx.ModelProto) -> list[str]:
    """The names of the convolutions whose weights are int8 with a zero point of 0, in order."""
    return [node.name for node, _ in _symmetric(quantized)]


def multiply_generally(quantized: onnx.ModelProto, names: Collection[str]) -> int:
    """Give the weights of some convolutions a zero point of 1, in place.

    The product stays the same, but where a weight is the largest of its channel: that has no byte
    any more, and takes the next smaller one.

    Args:
        quantized: with QuantizeLinear and DequantizeLinear nodes.
        names: of convolutions; those that are not quantized are left alone.

    Returns:
        How many were changed.
    """
    from onnx import numpy_helper

    changed = {}
    for node, weights in _symmetric(quantized):
        if node.name in names:
            moved = np.minimum(weights.values.astype(np.int16) + _ZERO_POINT, 127)
            changed[weights.name] = moved.astype(np.int8)
            changed[weights.zero] = np.full_like(weights.zeros, _ZERO_POINT)
    for initializer in quantized.graph.initializer:
        if initializer.name in changed:
            initializer.CopyFrom(
                numpy_helper.from_array(changed[initializer.name], initializer.name)
            )
    return len(changed) // 2


def suited(quantized: onnx.ModelProto) -> list[str]:
    """The convolutions that gain by the general product on a processor with AMX, in order.

    By their shapes, so that the same network gives the same file. The bounds are those of the
    convolutions of the four networks at 224 pixels, each timed by both kernels: for an output it
    takes some 256 products to make up for a dearer way to write it, and laying pixels out as
    rows pays where that many channels read a row. Where images of three channels come in, the
    symmetric kernel is the slower one with any number of products.
    """
    found = []
    for node, weights in _symmetric(quantized):
        outputs, inputs, *window = weights.values.shape
        products = inputs * math.prod(window)
        grouped = tensors.attributes(node).get("group", 1) > 1
        rows_pay = math.prod(window) == 1 or outputs >= _LEAST_OUTPUTS
        if not grouped and (inputs == _IMAGE or (products >= _LEAST_PRODUCTS and rows_pay)):
            found.append(node.name)
    return found


class _Weights(NamedTuple):
    """Of a convolution: the names of the bytes and of their zero point, and what these hold."""

    name: str
    zero: str
    values: Array
    zeros: Array


def _symmetric(quantized: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, _Weights]]:
    """The convolutions whose weights are int8 with a zero point of 0, in order."""
    made_by = {name: node for node in quantized.graph.node for name in node.output}
    constants = tensors.constants(quantized)
    for node in quantized.graph.node:
        source = made_by.get(node.input[1]) if node.op_type == "Conv" else None
        if source is None or source.op_type != "DequantizeLinear":
            continue
        name, _, zero = source.input
        if name in constants and constants[name].dtype == np.int8 and not constants[zero].any():
            yield node, _Weights(name, zero, constants[name], constants[zero])
