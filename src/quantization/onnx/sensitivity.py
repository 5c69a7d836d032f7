"""Which nodes quantization hurts the most, by a proxy: the search tries what it suggests."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from src.backends.onnx import tensors
from src.backends.onnx.tensors import Array
from src.quantization.onnx.calibration import operators

if TYPE_CHECKING:
    import onnx

# The end of an unsigned range does what these do, so the quantizer leaves them out.
_ABSORBED = {"Relu", "Clip"}


def damage_order(
    model: onnx.ModelProto, quantized: onnx.ModelProto, images: NDArray[np.float32]
) -> list[str]:
    """The names of the nodes that are quantized, the most hurt first.

    A node's damage is the noise that its own inputs, weights and outputs get by quantization,
    each as a share of the signal. What that does to the logits is another question: a noise may
    be averaged away, or hit the one channel that decides.

    A share is the mean over channels of each channel's, unlike in ``qdq_loss_debug``, which takes
    the tensor as a whole: there an outlier in one channel, for the sake of which all others
    vanish, makes the signal and so the ratio look better.

    Args:
        model: the float one.
        quantized: made from it.
        images: a few, (n, 3, H, W).
    """
    noise = _noise_of_activations(model, quantized, images)
    for node in model.graph.node:
        if node.op_type in _ABSORBED and node.output[0] in noise:
            # It may be gone, and what is before it writes its output.
            noise.setdefault(node.input[0], noise[node.output[0]])
    weights = _noise_of_weights(model, quantized)
    kinds = set(operators())
    damage: dict[str, float] = {}
    for node in model.graph.node:
        # The worst of them, for a concatenation of many is not hurt the more for that.
        read = max((noise.get(name, 0) for name in node.input), default=0)
        written = max((noise.get(name, 0) for name in node.output), default=0)
        own = max((weights.get(name, 0) for name in node.input), default=0)
        if node.op_type in kinds and read + written + own > 0:
            damage[node.name] = read + written + own
    return sorted(damage, key=lambda name: -damage[name])


def _noise_of_weights(model: onnx.ModelProto, quantized: onnx.ModelProto) -> dict[str, float]:
    constants = tensors.constants(model)
    return {
        name: _share(*_energies(constants[name], value, 0))
        for name, value in tensors.dequantized_weights(quantized).items()
        if name in constants and value.ndim > 1
    }


def _noise_of_activations(
    model: onnx.ModelProto, quantized: onnx.ModelProto, images: NDArray[np.float32]
) -> dict[str, float]:
    known = {name for node in model.graph.node for name in node.output}
    known |= {each.name for each in model.graph.input}
    grids = {name: grid for name, grid in tensors.grids(quantized).items() if name in known}
    energies: dict[str, list[tuple[Array, Array]]] = defaultdict(list)
    for found in tensors.activations(model, grids, images):
        for name, value in found.items():
            rounded = tensors.on_grid(value, *grids[name])
            energies[name].append(_energies(value, rounded, 1))
    return {
        name: _share(*(np.sum(part, axis=0) for part in zip(*parts, strict=True)))
        for name, parts in energies.items()
    }


def _energies(value: Array, rounded: Array, axis: int) -> tuple[Array, Array]:
    """The energy of the signal and of the noise in each channel, (C,) each."""
    others = tuple(set(range(value.ndim)) - {axis})
    return (value**2).sum(axis=others), ((value - rounded) ** 2).sum(axis=others)


def _share(signal: Array, noise: Array) -> float:
    """The mean over channels of the noise's share, at most 1; a channel without signal has none."""
    shares = np.divide(noise, signal, out=np.zeros_like(noise), where=signal > 0)
    return float(np.minimum(shares, 1).mean())
