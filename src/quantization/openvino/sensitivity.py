"""The layers that are the most sensitive to quantization, by their own quantization error.

It is the same estimate as in :mod:`src.quantization.onnx.sensitivity`. The search evaluates the
models that it suggests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from src.backends.openvino import signal_stack
from src.quantization.quantization_noise import Array, energies, noise_share

if TYPE_CHECKING:
    import openvino

_QUANTIZER = "FakeQuantize"
_NO_LAYERS = {_QUANTIZER, "Result", "ShapeOf"}
# Operations that only move values, so that their output is on the quantization grid of their input:
# QUANTIZE_AGNOSTIC_OPERATIONS in nncf/openvino/graph/metatypes/groups.py, and Concat.
_MOVES = {
    *("AdaptiveMaxPool", "BatchToSpace", "Broadcast", "Concat", "DepthToSpace", "Gather"),
    *("GatherElements", "GatherND", "MaxPool", "Pad", "ReduceMax", "Reshape", "ShuffleChannels"),
    *("Slice", "SpaceToBatch", "SpaceToDepth", "Split", "Squeeze", "StridedSlice", "Tile"),
    *("Transpose", "Unsqueeze", "VariadicSplit"),
}


def sensitivity_order(
    graph: openvino.Model, quantized: openvino.Model, images: Sequence[NDArray[np.float32]]
) -> list[str]:
    """Return the names of the layers that are quantized, the most sensitive one first.

    The sensitivity of a layer is the sum of the quantization errors of its inputs and of its
    weights, each as a share of the signal: see
    :func:`src.quantization.quantization_noise.noise_share`. Activations are those of the float
    graph, so the errors of earlier layers do not count.

    Args:
        graph: the float graph.
        quantized: made from it by NNCF, with the same names.
        images: a few, (1, 3, H, W) each.
    """
    float_nodes = {node.get_friendly_name(): node for node in graph.get_ops()}
    inputs = _noise_of_inputs(graph, float_nodes, quantized, images)
    weights = _noise_of_weights(float_nodes, quantized, inputs)
    in_order = [node.get_friendly_name() for node in graph.get_ordered_ops()]
    layers = [name for name in in_order if name in inputs]  # equal ones stay in this order
    return sorted(layers, key=lambda name: -(inputs[name] + weights.get(name, 0.0)))


@dataclass(frozen=True)
class _Grid:
    """The parameters of a FakeQuantize.

    https://docs.openvino.ai/2026/documentation/openvino-ir-format/operation-sets/operation-specs/quantization/fake-quantize-1.html
    """

    low: Array
    high: Array
    output_low: Array
    output_high: Array
    levels: int

    @classmethod
    def of(cls, quantizer: openvino.Node) -> _Grid:
        low, high, output_low, output_high = (
            quantizer.input_value(index).get_node().data for index in range(1, 5)
        )
        return cls(low, high, output_low, output_high, quantizer.get_attributes()["levels"])

    def rounded(self, value: Array) -> Array:
        """Return ``value`` quantized and dequantized."""
        width = np.maximum(self.high - self.low, np.finfo(np.float32).tiny)
        share = (np.clip(value, self.low, self.high) - self.low) / width
        share = np.rint(share * (self.levels - 1)) / (self.levels - 1)
        on_grid: Array = share * (self.output_high - self.output_low) + self.output_low
        return on_grid


def _noise_of_inputs(
    graph: openvino.Model,
    float_nodes: dict[str, openvino.Node],
    quantized: openvino.Model,
    images: Sequence[NDArray[np.float32]],
) -> dict[str, float]:
    """Return the largest quantization error among the inputs of each layer, by its name."""
    quantizers = [
        node
        for node in quantized.get_ordered_ops()
        if node.get_type_name() == _QUANTIZER
        and node.input_value(0).get_node().get_friendly_name() in float_nodes
    ]
    sources = [node.input_value(0) for node in quantizers]
    float_outputs = [
        float_nodes[source.get_node().get_friendly_name()].output(source.get_index())
        for source in sources
    ]
    grids = [_Grid.of(node) for node in quantizers]
    sums: list[tuple[Array, Array] | None] = [None] * len(quantizers)
    for values in _activations(graph, float_outputs, images):
        for index, (value, grid) in enumerate(zip(values, grids, strict=True)):
            signal, noise = energies(value, grid.rounded(value), min(1, value.ndim - 1))
            before = sums[index]
            sums[index] = (
                (signal, noise) if before is None else (before[0] + signal, before[1] + noise)
            )
    layers: dict[str, float] = defaultdict(float)
    for node, energy in zip(quantizers, sums, strict=True):
        share = 0.0 if energy is None else noise_share(*energy)
        for layer in _layers_reading(node.output(0)):
            name = layer.get_friendly_name()
            if name in float_nodes:
                layers[name] = max(layers[name], share)
    return layers


def _activations(
    graph: openvino.Model,
    outputs: list[openvino.Output],
    images: Sequence[NDArray[np.float32]],
) -> Iterator[list[Array]]:
    """Yield the values of some tensors of a float graph, image by image."""
    import openvino

    model = openvino.Model(outputs, graph.get_parameters())
    with signal_stack.kept():
        request = (
            openvino.Core()
            .compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            .create_infer_request()
        )
    for image in images:
        results = request.infer([image])
        yield [results[index] for index in range(len(outputs))]


def _layers_reading(output: openvino.Output) -> Iterator[openvino.Node]:
    """Yield the layers that read a tensor, also behind operations that only move values."""
    seen: set[str] = set()
    pending = [output]
    while pending:
        for target in pending.pop().get_target_inputs():
            node = target.get_node()
            if node.get_name() in seen:
                continue
            seen.add(node.get_name())
            if node.get_type_name() in _MOVES:
                pending.extend(node.outputs())
            elif node.get_type_name() not in _NO_LAYERS:
                yield node


def _noise_of_weights(
    float_nodes: dict[str, openvino.Node], quantized: openvino.Model, names: dict[str, float]
) -> dict[str, float]:
    """Return the quantization error of the weights of those layers that have int8 weights."""
    import openvino

    original: dict[str, Array] = {}
    outputs: list[openvino.Output] = []
    for node in quantized.get_ordered_ops():
        name = node.get_friendly_name()
        if name not in names or node.get_input_size() < 2:  # noqa: PLR2004  # input and weights
            continue
        weights = float_nodes[name].input_value(1).get_node()
        is_constant = weights.get_type_name() == "Constant" and weights.data.ndim > 1
        if is_constant and node.input_value(1).get_node().get_type_name() == "Multiply":
            original[name] = weights.data
            outputs.append(node.input_value(1))
    if not outputs:
        return {}
    with signal_stack.kept():
        constants = openvino.Core().compile_model(openvino.Model(outputs, []), "CPU")
        dequantized = constants([])
    return {
        name: noise_share(*energies(value, dequantized[index], 0))
        for index, (name, value) in enumerate(original.items())
    }
