"""Replace SiLU and GELU by hard swishes, which need a few instructions and no exponential.

On AMX an int8 convolution takes less time than the SiLU after it. A hard swish,
h(x) = x clip(x/6 + 1/2, 0, 1), has a similar shape. Scaled and shifted, h(a x) / a + d, it is
fitted to the inputs and outputs of each activation function on calibration images. Far from zero
its slope stays 0 and 1, so large values change by at most d.
Howard et al., Searching for MobileNetV3, 2019, section 5.2, https://arxiv.org/abs/1905.02244.

The error is about 4 % of an activation's root mean square. The search evaluates the model like
every other recipe.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.backends.openvino import signal_stack

if TYPE_CHECKING:
    import openvino

_KINDS = {"Swish": "SiLU", "Gelu": "GELU"}
_FACTORS = np.geomspace(0.4, 4.0, 48)
_VALUES = 2048  # sampled per activation function and image
_IMAGES = 64


class Fit(NamedTuple):
    """A scaled and shifted hard swish, h(factor x) / factor + shift."""

    factor: float
    shift: float
    error: float  # root mean square error, as a share of the root mean square of the outputs


def kinds(graph: openvino.Model) -> list[str]:
    """Return the kinds of activation functions in a graph that a hard swish can replace."""
    return sorted({_KINDS[node.get_type_name()] for node in _activations(graph)})


def harden(graph: openvino.Model, images: Sequence[NDArray[np.float32]], share: float) -> int:
    """Replace activation functions in place, those with the most values first.

    Args:
        graph: in fp32.
        images: calibration images, (1, 3, H, W) each.
        share: the least share of these functions' values to compute by hard swishes.

    Returns:
        The number of replaced functions.
    """
    from openvino import opset14

    chosen = _largest(_activations(graph), share)
    fits = [fit(*values) for values in _sampled(graph, chosen, images[:_IMAGES])]
    for node, (factor, shift, _) in zip(chosen, fits, strict=True):
        scaled = opset14.multiply(node.input_value(0), np.float32(factor))
        swish = opset14.multiply(opset14.hswish(scaled), np.float32(1 / factor))
        hard = opset14.add(swish, np.float32(shift))
        for reader in list(node.output(0).get_target_inputs()):
            reader.replace_source_output(hard.output(0))
    return len(chosen)


def fit(inputs: NDArray[np.float32], expected: NDArray[np.float32]) -> Fit:
    """Return the scaled and shifted hard swish with the least squared error.

    Args:
        inputs: inputs of the activation function, (n,).
        expected: its outputs, (n,).
    """
    norm = max(float(np.sqrt(np.mean(expected**2))), float(np.finfo(np.float32).tiny))
    fits = []
    for factor in _FACTORS.tolist():
        missing = expected - inputs * np.clip(factor * inputs / 6 + 0.5, 0, 1)
        shift = float(missing.mean())
        error = float(np.sqrt(np.mean((missing - shift) ** 2)))
        fits.append(Fit(factor, shift, error / norm))
    return min(fits, key=lambda candidate: candidate.error)


def _activations(graph: openvino.Model) -> list[openvino.Node]:
    """Return the activation functions with one input: a Swish can have a factor as the second."""
    return [
        node
        for node in graph.get_ordered_ops()
        if node.get_type_name() in _KINDS and node.get_input_size() == 1
    ]


def _largest(nodes: list[openvino.Node], share: float) -> list[openvino.Node]:
    """Return the fewest nodes that compute at least a share of all values."""
    sizes = [_values(node) for node in nodes]
    order = sorted(range(len(nodes)), key=lambda index: -sizes[index])
    chosen: list[openvino.Node] = []
    covered = 0
    for index in order:
        if covered >= share * sum(sizes):
            break
        chosen.append(nodes[index])
        covered += sizes[index]
    return chosen


def _values(node: openvino.Node) -> int:
    """Return the number of values per image."""
    return math.prod(size.get_length() for size in list(node.get_output_partial_shape(0))[1:])


def _sampled(
    graph: openvino.Model, nodes: list[openvino.Node], images: Sequence[NDArray[np.float32]]
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return samples of the inputs and outputs of each activation function, (n,) each."""
    import openvino

    ends = [end for node in nodes for end in (node.input_value(0), node.output(0))]
    model = openvino.Model(ends, graph.get_parameters())
    with signal_stack.kept():
        request = (
            openvino.Core()
            .compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            .create_infer_request()
        )
    generator = np.random.default_rng(0)
    picks = [generator.integers(_values(node), size=_VALUES) for node in nodes]
    samples: list[list[NDArray[np.float32]]] = [[] for _ in ends]
    for image in images:
        results = request.infer([image])
        for index, sample in enumerate(samples):
            sample.append(results[index].reshape(-1)[picks[index // 2]])
    columns = [np.concatenate(sample) for sample in samples]
    return list(zip(columns[::2], columns[1::2], strict=True))
