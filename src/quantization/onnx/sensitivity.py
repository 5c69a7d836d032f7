"""The nodes that are the most sensitive to quantization, by their own quantization error.

It is an estimate: an error may average out before the logits, or affect the one channel that the
predictions depend on. The search evaluates the models that it suggests.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from src.backends.onnx import tensors
from src.backends.onnx.tensors import Array
from src.quantization.onnx.calibration import operators
from src.quantization.quantization_noise import energies, noise_share
from src.run.file_input import Batch

if TYPE_CHECKING:
    import onnx

# The lower end of an unsigned range clips in the same way, so the quantizer removes these nodes.
_ABSORBED = {"Relu", "Clip"}


def sensitivity_order(
    model: onnx.ModelProto, quantized: onnx.ModelProto, images: Batch
) -> list[str]:
    """Return the names of the nodes that are quantized, the most sensitive one first.

    The sensitivity of a node is the sum of the quantization errors of its inputs, its weights
    and its outputs, each as a share of the signal: see
    :func:`src.quantization.quantization_noise.noise_share`. Activations are those of the float
    model, so the errors of earlier nodes do not count.

    Args:
        model: the float model.
        quantized: made from it.
        images: a few, (n, 3, H, W).
    """
    noise = _noise_of_activations(model, quantized, images)
    for node in model.graph.node:
        if node.op_type in _ABSORBED and node.output[0] in noise:
            # If the quantizer has removed the node, the node before it writes its output.
            noise.setdefault(node.input[0], noise[node.output[0]])
    weights = _noise_of_weights(model, quantized)
    quantized_types = set(operators())
    sensitivity: dict[str, float] = {}
    for node in model.graph.node:
        # The maximum, because many inputs do not make a concatenation more sensitive.
        read = max((noise.get(name, 0) for name in node.input), default=0)
        written = max((noise.get(name, 0) for name in node.output), default=0)
        own = max((weights.get(name, 0) for name in node.input), default=0)
        if node.op_type in quantized_types and read + written + own > 0:
            sensitivity[node.name] = read + written + own
    return sorted(sensitivity, key=lambda name: -sensitivity[name])


def _noise_of_weights(model: onnx.ModelProto, quantized: onnx.ModelProto) -> dict[str, float]:
    constants = tensors.constants(model)
    return {
        name: noise_share(*energies(constants[name], value, 0))
        for name, value in tensors.dequantized_weights(quantized).items()
        if name in constants and value.ndim > 1
    }


def _noise_of_activations(
    model: onnx.ModelProto, quantized: onnx.ModelProto, images: Batch
) -> dict[str, float]:
    known = {name for node in model.graph.node for name in node.output}
    known |= {graph_input.name for graph_input in model.graph.input}
    grids = {name: grid for name, grid in tensors.grids(quantized).items() if name in known}
    batches: dict[str, list[tuple[Array, Array]]] = defaultdict(list)
    for activations in tensors.activations(model, grids, images):
        for name, value in activations.items():
            rounded = tensors.on_grid(value, *grids[name])
            batches[name].append(energies(value, rounded, 1))
    return {
        name: noise_share(*(np.sum(part, axis=0) for part in zip(*parts, strict=True)))
        for name, parts in batches.items()
    }
