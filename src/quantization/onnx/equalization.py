"""Cross-layer equalisation: give the channels of a tensor similar ranges before quantization.

Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019,
section 4.1, https://arxiv.org/abs/1906.04721. All channels of an activation share one scale. If
only a ReLU is between two convolutions, the first can divide each output channel by a positive
number and the second multiply its weights by it: relu(x / s) = relu(x) / s. This does not hold for
SiLU or GELU.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from src.backends.onnx import tensors
from src.backends.onnx.tensors import Array

if TYPE_CHECKING:
    import onnx

_SWEEPS = 20
_CONVERGED = 1e-3


def equalise(model: onnx.ModelProto) -> int:
    """Equalise all pairs of convolutions in place. The logits do not change.

    A convolution can be in two pairs, so all pairs are repeated until the scales converge.

    Returns:
        The number of pairs.
    """
    import onnx

    pairs = list(_pairs(model))
    values = {
        name: value.copy()
        for name, value in tensors.constants(model).items()
        if any(name in node.input for pair in pairs for node in pair)
    }
    for _ in range(_SWEEPS):
        changes = [_equalise(first, second, values) for first, second in pairs]
        if max(changes, default=0) < _CONVERGED:
            break
    for tensor in model.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values[tensor.name], tensor.name))
    return len(pairs)


def _pairs(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """Yield pairs of convolutions with a ReLU between them.

    No other node reads the tensors between them or their weights.
    """
    readers = tensors.readers(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    graph_outputs = {output.name for output in model.graph.output}

    def only_reader(node: onnx.NodeProto, kind: str) -> onnx.NodeProto | None:
        after = readers.get(node.output[0], [])
        alone = len(after) == 1 and node.output[0] not in graph_outputs
        return after[0] if alone and after[0].op_type == kind else None

    def owns_weights(node: onnx.NodeProto) -> bool:
        return all(name in constants and len(readers[name]) == 1 for name in node.input[1:])

    for first in model.graph.node:
        relu = only_reader(first, "Relu") if first.op_type == "Conv" else None
        second = only_reader(relu, "Conv") if relu is not None else None
        if second is not None and owns_weights(first) and owns_weights(second):
            yield first, second


def _equalise(first: onnx.NodeProto, second: onnx.NodeProto, values: dict[str, Array]) -> float:
    """Equalise one pair and return the largest relative change of a scale."""
    before, after = values[first.input[1]], values[second.input[1]]
    groups = tensors.attributes(second).get("group", 1)
    by_group = after.reshape(groups, after.shape[0] // groups, after.shape[1], -1)
    outgoing = np.abs(before).reshape(len(before), -1).max(axis=1)  # (C,)
    incoming = np.abs(by_group).max(axis=(1, 3)).reshape(-1)  # (C,)
    both = (outgoing > 0) & (incoming > 0)
    ratio = np.divide(outgoing, incoming, out=np.ones_like(outgoing), where=both)
    scale = np.sqrt(ratio)
    before /= scale.reshape(-1, *[1] * (before.ndim - 1))
    if len(first.input) > 2:  # noqa: PLR2004  # a bias
        values[first.input[2]] /= scale
    by_group *= scale.reshape(groups, 1, -1, 1)
    values[second.input[1]] = by_group.reshape(after.shape)
    return float(np.abs(scale - 1).max())
