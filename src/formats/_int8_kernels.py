"""Which of ONNX Runtime's two int8 kernels multiplies a convolution, and which is the faster.

Weights with a zero point of 0 go to a kernel for symmetric convolutions, which knows the int8 dot
product (VNNI) and no more. With any other zero point the same convolution is laid out as a matrix
(im2col) and goes to the general product, which knows AMX as well: several times faster where many
channels meet, and slower where the layout costs more than the product gains.
``TryConvSymPrepack`` in onnxruntime/core/providers/cpu/quantization/qlinearconv.cc, and
``MlasGemmU8S8DispatchAmx`` in onnxruntime/core/mlas/lib/platform.cpp.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import numpy as np

from src.formats import _onnx_tensors
from src.formats._chrome_trace import Operation

if TYPE_CHECKING:
    import onnx

_ZERO_POINT = 1
_SURELY = 0.95  # of the time: less is within what a profile may be wrong by
_KERNEL = "QLinearConv"


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

    constants = _onnx_tensors.constants(quantized)
    changed = {}
    for node, (weight, _, zero) in _symmetric(quantized):
        if node.name in names:
            moved = np.minimum(constants[weight].astype(np.int16) + _ZERO_POINT, 127)
            changed[weight] = moved.astype(np.int8)
            changed[zero] = np.full_like(constants[zero], _ZERO_POINT)
    for initializer in quantized.graph.initializer:
        if initializer.name in changed:
            initializer.CopyFrom(
                numpy_helper.from_array(changed[initializer.name], initializer.name)
            )
    return len(changed) // 2


def faster(
    names: Collection[str], symmetric: list[Operation], general: list[Operation]
) -> list[str]:
    """The convolutions that the general product makes faster.

    Args:
        names: of all convolutions.
        symmetric: what ONNX Runtime's profile of a few calls says of the one file.
        general: ... of the other, in which all of them are multiplied generally.
    """
    before, after = (_seconds(names, each) for each in (symmetric, general))
    return [
        name
        for name in names
        if name in before and name in after and after[name] < _SURELY * before[name]
    ]


def _seconds(names: Collection[str], operations: list[Operation]) -> dict[str, float]:
    """The median over calls of each convolution, whose node the runtime may have named further."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for each in operations:
        if each.kind == _KERNEL:
            of = max(
                (name for name in names if each.name.startswith(f"{name}_")), key=len, default=""
            )
            found[of].append(each.seconds)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def _symmetric(quantized: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, tuple[str, str, str]]]:
    """Convolutions, each with the names of its weights, of their scale and their zero point."""
    made_by = {name: node for node in quantized.graph.node for name in node.output}
    constants = _onnx_tensors.constants(quantized)
    for node in quantized.graph.node:
        source = made_by.get(node.input[1]) if node.op_type == "Conv" else None
        if (
            source is None
            or source.op_type != "DequantizeLinear"
            or source.input[0] not in constants
        ):
            continue
        weight, scale, zero = source.input
        if constants[weight].dtype == np.int8 and not constants[zero].any():
            yield node, (weight, scale, zero)
