"""Select ONNX Runtime's int8 kernel for each convolution, on a processor with AMX.

A convolution whose weights have a zero point of 0 uses a kernel for symmetric weights, which has
int8 dot products (VNNI) but no AMX. With any other zero point the same convolution is computed by
im2col and GEMM, which has AMX. That kernel is up to twice as fast for many channels, and slower
where im2col and writing the output take longer than the GEMM saves.
Sources: ``TryConvSymPrepack`` in onnxruntime/core/providers/cpu/quantization/qlinearconv.cc, and
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
_IMAGE_CHANNELS = 3
_MIN_PRODUCTS = 256  # multiplications per output value
_MIN_OUTPUT_CHANNELS = 96


def convolutions(quantized: onnx.ModelProto) -> list[str]:
    """Return the names of the convolutions with int8 weights of zero point 0, in order."""
    return [node.name for node, _ in _symmetric(quantized)]


def use_gemm(quantized: onnx.ModelProto, names: Collection[str]) -> int:
    """Give the weights of some convolutions a zero point of 1, in place.

    Weights do not change, except that the byte 127 would become 128 and is clipped to 127: such a
    weight gets smaller by one step.

    Args:
        quantized: with QuantizeLinear and DequantizeLinear nodes.
        names: of convolutions; those that are not quantized do not change.

    Returns:
        The number of changed convolutions.
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
    """Return the convolutions that are faster by GEMM on a processor with AMX, in order.

    The decision depends on shapes only, so that the same network gives the same file. The limits
    were measured with both kernels on all convolutions of the four networks at 224 pixels. About
    256 multiplications per output value make up for the slower writing of outputs, and im2col
    pays off if at least 96 output channels read each row. For images of three channels the
    symmetric kernel is always the slower one.
    """
    names = []
    for node, weights in _symmetric(quantized):
        outputs, inputs, *window = weights.values.shape
        products = inputs * math.prod(window)
        grouped = tensors.attributes(node).get("group", 1) > 1
        im2col_pays = math.prod(window) == 1 or outputs >= _MIN_OUTPUT_CHANNELS
        enough = products >= _MIN_PRODUCTS and im2col_pays
        if not grouped and (inputs == _IMAGE_CHANNELS or enough):
            names.append(node.name)
    return names


class _Weights(NamedTuple):
    """The weights of a convolution: names and values of the bytes and of the zero points."""

    name: str
    zero: str
    values: Array
    zeros: Array


def _symmetric(quantized: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, _Weights]]:
    """Yield the convolutions with int8 weights of zero point 0, in order."""
    made_by = {name: node for node in quantized.graph.node for name in node.output}
    constants = tensors.constants(quantized)
    for node in quantized.graph.node:
        source = made_by.get(node.input[1]) if node.op_type == "Conv" else None
        if source is None or source.op_type != "DequantizeLinear":
            continue
        name, _, zero = source.input
        if name in constants and constants[name].dtype == np.int8 and not constants[zero].any():
            yield node, _Weights(name, zero, constants[name], constants[zero])
