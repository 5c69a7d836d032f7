"""An ONNX graph as a PyTorch module that can be trained; a QDQ graph under fake quantization.

The graph that is trained is the graph that is exported, so scales, zero points and the places of
rounding are those of the file by construction. Only the operators of classifiers are known.
Packages that convert ONNX graphs to PyTorch keep no quantized weights that can be trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from src.backends.onnx import tensors
from src.backends.onnx.runtime import INPUT
from src.backends.onnx.tensors import Array
from src.twin.operator_support import problem
from src.twin.operators import OPERATORS

if TYPE_CHECKING:
    import onnx

_TRAINED_READERS = {"Conv", "Gemm", "MatMul", "LayerNormalization", "Mul", "Add"}
# Inputs, by operator and position, whose grids are those of weights and biases. ONNX Runtime puts
# constants of other operators on grids of activations; those are not trained.
_WEIGHTS = {("Conv", 1), ("Gemm", 1), ("MatMul", 1)}
_BIASES = {("Conv", 2), ("Gemm", 2)}
_INT8_LEVELS = 127  # of symmetric int8 weights; -128 is not used
_REDUCED_LEVELS = 64  # with reduce_range
_LEAST_SCALE = float(np.finfo(np.float32).tiny)


class UnknownOperatorError(ValueError):
    """The graph has an operator that cannot be trained here."""


@dataclass(frozen=True)
class _Step:
    """A node of the graph."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


class GraphNetwork(nn.Module):
    """A float or QDQ graph: (N, 3, H, W) float32 -> (N, K) float32 logits.

    Weights of a QDQ graph are trained in float and rounded in each call, with the scale that ONNX
    Runtime's quantizer gives them: the largest absolute value of an output channel over 127.
    Other quantized constants keep their values.
    Gradients pass the rounding unchanged inside of the range (straight-through estimator, Bengio
    et al., 2013, arXiv 1308.3432).

    Args:
        graph: float or QDQ.
        weights: the float weights of a QDQ graph, by the names that they have there.
        reduce_range: weights have 7 bits.

    Raises:
        UnknownOperatorError: a node cannot be trained.
    """

    def __init__(
        self,
        graph: onnx.ModelProto,
        weights: Mapping[str, Array] | None = None,
        *,
        reduce_range: bool = False,
    ) -> None:
        super().__init__()
        from onnxruntime.quantization.quant_utils import TENSOR_NAME_QUANT_SUFFIX

        constants = tensors.constants(graph)
        floats = dict(weights or {})
        self._levels = _REDUCED_LEVELS if reduce_range else _INT8_LEVELS
        self._output = graph.graph.output[0].name
        self._steps: list[_Step] = []
        self._constants: dict[str, Array] = constants
        self._weights: dict[str, tuple[str, int | None]] = {}  # dequantized name: weight, axis
        self._biases: dict[str, str] = {}  # dequantized name: bias
        self.trained = nn.ParameterList()
        self.names: list[str] = []  # of self.trained
        self._buffer_of: dict[str, str] = {}
        uses = _uses(graph)
        fixed = tensors.dequantized_weights(graph)
        for node in graph.graph.node:
            attributes = tensors.attributes(node)
            source = node.input[0] if node.input else ""
            if node.op_type == "DequantizeLinear" and source in constants:
                name = source.removesuffix(TENSOR_NAME_QUANT_SUFFIX)
                output, read = node.output[0], uses.get(node.output[0], set())
                if not read <= _WEIGHTS and not read <= _BIASES:
                    self._keep(output, fixed[name].astype(np.float32))
                    continue
                if name not in floats or floats[name].shape != constants[source].shape:
                    raise UnknownOperatorError(f"no float weights for {source}")
                self._train(name, floats[name])
                if read <= _BIASES:
                    self._biases[output] = name
                else:
                    per_channel = constants[node.input[1]].size > 1
                    axis = int(attributes.get("axis", 1)) if per_channel else None
                    self._weights[output] = (name, axis)
                continue
            _require_known(node, attributes)
            self._steps.append(
                _Step(node.op_type, tuple(node.input), tuple(node.output), attributes)
            )
        for name, value in constants.items():
            if value.dtype != np.float32 or name not in uses:
                continue
            if value.size > 1 and {operator for operator, _ in uses[name]} & _TRAINED_READERS:
                self._train(name, value)
            else:
                self._keep(name, value)
        self._ended = _ended(self._steps, self._output)
        self._dequantized = {
            step.outputs[0]: step for step in self._steps if step.operator == "DequantizeLinear"
        }

    def _train(self, name: str, value: Array) -> None:
        if name not in self.names:
            self.names.append(name)
            self.trained.append(nn.Parameter(torch.from_numpy(value.copy())))

    def _keep(self, name: str, value: Array) -> None:
        buffer = f"constant_{len(self._buffer_of)}"
        self._buffer_of[name] = buffer
        # A product of numpy's arrays without axes is no array.
        self.register_buffer(buffer, torch.from_numpy(np.array(value)), persistent=False)

    def weights(self) -> dict[str, Array]:
        """Return the present float weights by their names in the graph."""
        return {
            name: value.detach().cpu().numpy().copy()
            for name, value in zip(self.names, self.trained, strict=True)
        }

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) for images (N, 3, H, W)."""
        values: dict[str, Any] = {INPUT: images}
        values.update(zip(self.names, self.trained, strict=True))
        values.update({name: getattr(self, buffer) for name, buffer in self._buffer_of.items()})
        scales = {name: self._scale(values[of], axis) for name, (of, axis) in self._weights.items()}
        for name, (of, axis) in self._weights.items():
            values[name] = self._rounded(values[of], scales[name], axis)
        for step, ended in zip(self._steps, self._ended, strict=True):
            if step.operator == "QuantizeLinear":
                results: Any = self._quantized(values[step.inputs[0]], step.inputs)
            elif step.operator == "DequantizeLinear":
                results = values[step.inputs[0]]
            else:
                inputs = [self._value(name, values) for name in step.inputs]
                if len(step.inputs) > 2 and step.inputs[2] in self._biases:  # noqa: PLR2004
                    inputs[2] = self._bias(step, values, scales)
                results = OPERATORS[step.operator](inputs, step.attributes)
            parts = results if isinstance(results, tuple) else (results,)
            values.update(zip(step.outputs, parts, strict=True))
            for name in ended:
                del values[name]
        logits: Tensor = values[self._output]
        return logits

    def _value(self, name: str, values: Mapping[str, Any]) -> Any:
        if not name:
            return None
        if name in self._biases:
            return values[self._biases[name]]
        return values[name] if name in values else self._constants[name]

    def _quantized(self, value: Tensor, inputs: Sequence[str]) -> Tensor:
        """Return a value rounded to its grid and back."""
        zero = self._constants[inputs[2]]
        least, most = np.iinfo(zero.dtype).min, np.iinfo(zero.dtype).max
        scale = float(self._constants[inputs[1]])
        return torch.fake_quantize_per_tensor_affine(value, scale, int(zero), least, most)

    def _scale(self, weight: Tensor, axis: int | None) -> Tensor:
        """Return the scale of a weight's grid, (channels,) or (1,)."""
        with torch.no_grad():
            flat = (
                weight.abs().flatten()[None]
                if axis is None
                else weight.abs().movedim(axis, 0).flatten(1)
            )
            scale = flat.amax(1) / self._levels
            return torch.where(scale < _LEAST_SCALE, torch.ones_like(scale), scale)

    def _rounded(self, weight: Tensor, scale: Tensor, axis: int | None) -> Tensor:
        levels = self._levels
        if axis is None:
            return torch.fake_quantize_per_tensor_affine(weight, scale.item(), 0, -levels, levels)
        zeros = torch.zeros_like(scale, dtype=torch.int32)
        rounded: Tensor = torch.fake_quantize_per_channel_affine(
            weight, scale, zeros, axis, -levels, levels
        )
        return rounded

    def _bias(self, step: _Step, values: Mapping[str, Any], scales: Mapping[str, Tensor]) -> Tensor:
        """Return a bias rounded to the grid of the sums, whose scale is that of their factors."""
        bias: Tensor = values[self._biases[step.inputs[2]]]
        factor, weight = step.inputs[0], step.inputs[1]
        if factor not in self._dequantized or weight not in scales:
            return bias
        scale = scales[weight] * float(self._constants[self._dequantized[factor].inputs[1]])
        rounded = torch.round(bias.detach().double() / scale.double()) * scale.double()
        return bias + (rounded.to(bias.dtype) - bias.detach())


def _ended(steps: Sequence[_Step], output: str) -> list[list[str]]:
    """Return, for each step, the tensors that no later step reads; they need no memory then."""
    last = {INPUT: 0}
    for number, step in enumerate(steps):
        last.update(dict.fromkeys(step.outputs, number))
        last.update({name: number for name in step.inputs if name in last})
    ended: list[list[str]] = [[] for _ in steps]
    for name, number in last.items():
        if name != output:
            ended[number].append(name)
    return ended


def _require_known(node: onnx.NodeProto, attributes: Mapping[str, Any]) -> None:
    if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
        return
    if node.op_type not in OPERATORS:
        raise UnknownOperatorError(f"no training through {node.op_type}")
    unread = problem(node.op_type, node.input, node.output, attributes)
    if unread is not None:
        raise UnknownOperatorError(f"no training through {node.op_type} with {unread}")


def _uses(graph: onnx.ModelProto) -> dict[str, set[tuple[str, int]]]:
    """Return the operators that read each tensor, with the position among their inputs."""
    uses: dict[str, set[tuple[str, int]]] = {}
    for node in graph.graph.node:
        for position, name in enumerate(node.input):
            uses.setdefault(name, set()).add((node.op_type, position))
    return uses
