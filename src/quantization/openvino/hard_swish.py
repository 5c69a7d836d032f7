"""SiLU and GELU as hard swishes, which cost a few instructions where those cost an exponential.

A convolution in int8 on AMX takes less time than the SiLU behind it. A hard swish,
x clip(x/6 + 1/2, 0, 1), has the same shape; scaled, h(a x) / a + d, it is fitted to what each
activation took and gave on calibration images. Its slope far from zero stays 0 and 1, so nothing
large is changed by more than d.
Howard et al., Searching for MobileNetV3, 2019, section 5.2, https://arxiv.org/abs/1905.02244.

It is an approximation, of about 4 % of an activation's root mean square: whether a network bears it
is judged like every other recipe.
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
_VALUES = 2048  # of an activation and image
_IMAGES = 64


class Fit(NamedTuple):
    """h(factor x) / factor + shift."""

    factor: float
    shift: float
    error: float  # the root mean square of it, over that of the values


def kinds(graph: openvino.Model) -> list[str]:
    """What the activations that a hard swish may stand for are called: SiLU, GELU."""
    return sorted({_KINDS[node.get_type_name()] for node in _activations(graph)})


def harden(graph: openvino.Model, images: Sequence[NDArray[np.float32]], share: float) -> int:
    """Replace activations in place, those with the most values first.

    Args:
        graph: in fp32.
        images: to fit with, (1, 3, H, W) each.
        share: of all the values of such activations, that are to be computed so at least.

    Returns:
        How many were replaced.
    """
    from openvino import opset14

    chosen = _largest(_activations(graph), share)
    fits = [fit(*values) for values in _seen(graph, chosen, images[:_IMAGES])]
    for node, (factor, shift, _) in zip(chosen, fits, strict=True):
        scaled = opset14.multiply(node.input_value(0), np.float32(factor))
        swish = opset14.multiply(opset14.hswish(scaled), np.float32(1 / factor))
        hard = opset14.add(swish, np.float32(shift))
        for reader in list(node.output(0).get_target_inputs()):
            reader.replace_source_output(hard.output(0))
    return len(chosen)


def fit(given: NDArray[np.float32], expected: NDArray[np.float32]) -> Fit:
    """The scaled hard swish that is the closest by least squares.

    Args:
        given: what the activation took, (n,).
        expected: what it gave, (n,).
    """
    norm = max(float(np.sqrt(np.mean(expected**2))), float(np.finfo(np.float32).tiny))
    found = []
    for factor in _FACTORS.tolist():
        missing = expected - given * np.clip(factor * given / 6 + 0.5, 0, 1)
        shift = float(missing.mean())
        error = float(np.sqrt(np.mean((missing - shift) ** 2)))
        found.append(Fit(factor, shift, error / norm))
    return min(found, key=lambda each: each.error)


def _activations(graph: openvino.Model) -> list[openvino.Node]:
    """Those of one input: a Swish may come with a factor as its second."""
    return [
        node
        for node in graph.get_ordered_ops()
        if node.get_type_name() in _KINDS and node.get_input_size() == 1
    ]


def _largest(nodes: list[openvino.Node], share: float) -> list[openvino.Node]:
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
    """Of an image."""
    return math.prod(each.get_length() for each in list(node.get_output_partial_shape(0))[1:])


def _seen(
    graph: openvino.Model, nodes: list[openvino.Node], images: Sequence[NDArray[np.float32]]
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """A sample of what each activation took and gave, value by value."""
    import openvino

    watched = [end for node in nodes for end in (node.input_value(0), node.output(0))]
    watching = openvino.Model(watched, graph.get_parameters())
    with signal_stack.kept():
        request = (
            openvino.Core()
            .compile_model(watching, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            .create_infer_request()
        )
    generator = np.random.default_rng(0)
    picks = [generator.integers(_values(node), size=_VALUES) for node in nodes]
    taken: list[list[NDArray[np.float32]]] = [[] for _ in watched]
    for image in images:
        answer = request.infer([image])
        for index, into in enumerate(taken):
            into.append(answer[index].reshape(-1)[picks[index // 2]])
    columns = [np.concatenate(each) for each in taken]
    return list(zip(columns[::2], columns[1::2], strict=True))
