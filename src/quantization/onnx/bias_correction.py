"""Empirical bias correction: subtract the mean output error of rounded weights from the bias.

Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019,
section 4.2, https://arxiv.org/abs/1906.04721. The error of an output's mean is the error of the
weights times the mean of the inputs, which is measured in the float network on the calibration
images. For a convolution with padding this is an approximation at the border.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from src.backends.onnx import tensors
from src.backends.onnx.tensors import Array
from src.run.file_input import Batch

if TYPE_CHECKING:
    import onnx

_CHANNEL_AXES = {"Conv": 1, "Gemm": 1, "MatMul": -1}  # of the input, by the type of node


def mean_inputs(model: onnx.ModelProto, images: Batch) -> dict[str, Array]:
    """Return the mean of each channel of the inputs of convolutions and products, (C,) each."""
    axes = {
        node.input[0]: _CHANNEL_AXES[node.op_type]
        for node in model.graph.node
        if node.op_type in _CHANNEL_AXES
    }
    sums: dict[str, Array] = {}
    counts: dict[str, int] = {}  # of values of a channel: the first axis may be that of windows
    for activations in tensors.activations(model, axes, images):
        for name, value in activations.items():
            other_axes = tuple(set(range(value.ndim)) - {axes[name] % value.ndim})
            channels = value.shape[axes[name]]
            sums[name] = sums.get(name, 0) + value.sum(axis=other_axes, dtype=np.float64)
            counts[name] = counts.get(name, 0) + value.size // max(1, channels)
    return {name: value / counts[name] for name, value in sums.items()}


def correct(model: onnx.ModelProto, dequantized: dict[str, Array], means: dict[str, Array]) -> int:
    """Correct the biases of the float model in place.

    Args:
        model: the float model.
        dequantized: the weights that the quantized model computes with, by name.
        means: see :func:`mean_inputs`.

    Returns:
        The number of corrected biases. A Conv or Gemm without a bias gets one. A MatMul is
        corrected only if an Add of a bias follows it.
    """
    import onnx

    values = tensors.constants(model)
    readers = tensors.readers(model)
    count = 0
    for node, weight in _products(model):
        if weight not in dequantized or weight not in values:
            continue
        shift = _shift(node, dequantized[weight] - values[weight], means[node.input[0]])
        adder = _adder(node, readers)
        if shift is None or adder is None:
            continue
        position = next(
            (number for number, name in enumerate(adder.input) if _is_bias(values, name, shift)),
            None,
        )
        if position is None and (adder is not node or len(node.input) > 2):  # noqa: PLR2004
            continue
        old = 0 if position is None else values[adder.input[position]]
        name = f"{node.output[0]}_corrected_bias"
        new = np.asarray(old - shift, np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(new, name))
        if position is None:
            node.input.append(name)
        else:
            adder.input[position] = name
        count += 1
    return count


def _products(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Yield convolutions and products with the names of their weights."""
    for node in model.graph.node:
        if node.op_type in _CHANNEL_AXES:
            yield node, node.input[1]


def _shift(node: onnx.NodeProto, error: Array, means: Array) -> Array | None:
    """Return the error of each output channel's mean that an error of the weights causes, (O,).

    None for a Gemm with a transposed input or a factor, and for a MatMul with weights of more than
    two dimensions.
    """
    options = tensors.attributes(node)
    if node.op_type == "Conv":
        groups = options.get("group", 1)
        outputs, inputs = error.shape[:2]  # inputs of one group
        summed = error.reshape(groups, outputs // groups, inputs, -1).sum(axis=-1)
        added: Array = np.einsum("goi,gi->go", summed, means.reshape(groups, inputs))
        return added.reshape(-1)
    if node.op_type == "Gemm":
        if options.get("transA") or options.get("alpha", 1) != 1 or options.get("beta", 1) != 1:
            return None
        return error @ means if options.get("transB") else means @ error
    return means @ error if error.ndim == 2 else None  # noqa: PLR2004  # a matrix


def _adder(node: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]]) -> onnx.NodeProto | None:
    """Return the node that adds the bias, which for a MatMul is the Add after it."""
    if node.op_type != "MatMul":
        return node
    after = readers.get(node.output[0], [])
    return after[0] if len(after) == 1 and after[0].op_type == "Add" else None


def _is_bias(values: dict[str, Array], name: str, shift: Array) -> bool:
    return name in values and values[name].shape == shift.shape
