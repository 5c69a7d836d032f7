"""Order of a LiteRT file's layers by the noise that int8 adds. It runs in LiteRT's environment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from src.quantization.quantization_noise import energies, noise_share

Array = NDArray[np.float32]

_LEVELS = 255  # of an activation
_LARGEST = 127  # of a weight
# Axis of the output channels in the weights of each kind of layer.
_OUTPUT_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}


class _Layer(NamedTuple):
    name: str  # of its output tensor
    input: int  # tensors by their numbers
    weights: int
    output: int
    axis: int  # of the output channels in the weights


def sensitivity_order(path: Path, images: Array) -> list[str]:
    """Return the names of the layers with weights, the noisiest one first.

    The noise of a layer is that of rounding its input, its weights and its output to 8 bits, each
    as a share of the signal. Activations are those of the fp32 file.

    Args:
        path: the fp32 file.
        images: a few, (n, 3, H, W).
    """
    interpreter = Interpreter(
        model_path=str(path),
        experimental_preserve_all_tensors=True,
        # XNNPACK would compute many operators in one, without the tensors between them.
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    layers = _layers(interpreter)
    numbers = sorted({number for layer in layers for number in (layer.input, layer.output)})
    low = dict.fromkeys(numbers, 0.0)
    high = dict.fromkeys(numbers, 0.0)
    for values in _activations(interpreter, images, numbers):
        for number, value in values.items():
            low[number] = min(low[number], float(value.min()))
            high[number] = max(high[number], float(value.max()))
    noise = _noise(interpreter, images, low, high)
    shares = {
        layer.name: noise[layer.input] + noise[layer.output] + _noise_of_weights(interpreter, layer)
        for layer in layers
    }
    return sorted(shares, key=lambda name: -shares[name])


def _layers(interpreter: Any) -> list[_Layer]:
    names = {tensor["index"]: tensor["name"] for tensor in interpreter.get_tensor_details()}
    return [
        _Layer(
            names[operator["outputs"][0]],
            operator["inputs"][0],
            operator["inputs"][1],
            operator["outputs"][0],
            _OUTPUT_AXIS[operator["op_name"]],
        )
        for operator in interpreter._get_ops_details()  # noqa: SLF001  # the only list of operators
        if operator["op_name"] in _OUTPUT_AXIS
    ]


def _activations(
    interpreter: Any, images: Array, numbers: Sequence[int]
) -> Iterator[dict[int, Array]]:
    """Yield the values of some tensors for each image."""
    place = interpreter.get_input_details()[0]["index"]
    for image in images:
        interpreter.set_tensor(place, image[None])
        interpreter.invoke()
        yield {number: interpreter.get_tensor(number) for number in numbers}


def _noise(
    interpreter: Any, images: Array, low: dict[int, float], high: dict[int, float]
) -> dict[int, float]:
    """Return the share of noise in each activation on the grid between its limits."""
    parts: dict[int, list[tuple[Array, Array]]] = {number: [] for number in low}
    for values in _activations(interpreter, images, sorted(low)):
        for number, value in values.items():
            scale = max((high[number] - low[number]) / _LEVELS, 1e-12)
            rounded = np.round(value / scale) * scale
            parts[number].append(energies(value, rounded, value.ndim - 1))
    return {
        number: noise_share(*(np.sum(part, axis=0) for part in zip(*of_images, strict=True)))
        for number, of_images in parts.items()
    }


def _noise_of_weights(interpreter: Any, layer: _Layer) -> float:
    weights = interpreter.get_tensor(layer.weights)
    rest = tuple(set(range(weights.ndim)) - {layer.axis})
    scale = np.maximum(np.abs(weights).max(axis=rest, keepdims=True) / _LARGEST, 1e-12)
    return noise_share(*energies(weights, np.round(weights / scale) * scale, layer.axis))
