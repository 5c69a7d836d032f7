"""ONNX operators of classifiers as functions of PyTorch, which have gradients.

Shapes that a graph computes are numpy arrays of integers; all other values are tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from src.backends.onnx.tensors import Array


def _pads(
    attributes: Mapping[str, Any], value: Tensor, fill: float = 0.0
) -> tuple[Tensor, list[int]]:
    """Return the input, padded if its padding is not symmetric, and the padding that is left."""
    pads = list(attributes.get("pads", [0] * (2 * (value.dim() - 2))))
    begin, end = pads[: len(pads) // 2], pads[len(pads) // 2 :]
    if begin == end:
        return value, begin
    order = [side for pair in reversed(list(zip(begin, end, strict=True))) for side in pair]
    return functional.pad(value, order, value=fill), [0] * len(begin)


def _conv(inputs: list[Any], attributes: Mapping[str, Any]) -> Tensor:
    value, weight, bias = [*inputs, None][:3]
    value, padding = _pads(attributes, value)
    ones = [1] * (weight.dim() - 2)
    convolve = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}[weight.dim()]
    convolved: Tensor = convolve(
        value,
        weight,
        bias,
        attributes.get("strides", ones),
        padding,
        attributes.get("dilations", ones),
        attributes.get("group", 1),
    )
    return convolved


def _gemm(inputs: list[Any], attributes: Mapping[str, Any]) -> Tensor:
    first, second, third = [*inputs, None][:3]
    first = first.T if attributes.get("transA") else first
    second = second.T if attributes.get("transB") else second
    product: Tensor = attributes.get("alpha", 1.0) * (first @ second)
    return product if third is None else product + attributes.get("beta", 1.0) * third


def _max_pool(inputs: list[Any], attributes: Mapping[str, Any]) -> Tensor:
    value, padding = _pads(attributes, inputs[0], float("-inf"))
    kernel = attributes["kernel_shape"]
    ones = [1] * len(kernel)
    pool = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
    pooled: Tensor = pool[len(kernel)](
        value,
        kernel,
        attributes.get("strides", ones),
        padding,
        attributes.get("dilations", ones),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
    )
    return pooled


def _average_pool(inputs: list[Any], attributes: Mapping[str, Any]) -> Tensor:
    value, padding = _pads(attributes, inputs[0])
    kernel = attributes["kernel_shape"]
    pool = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
    pooled: Tensor = pool[len(kernel)](
        value,
        kernel,
        attributes.get("strides", [1] * len(kernel)),
        padding,
        bool(attributes.get("ceil_mode", 0)),
        bool(attributes.get("count_include_pad", 0)),
    )
    return pooled


def _global_average_pool(inputs: list[Any], _: Mapping[str, Any]) -> Tensor:
    mean: Tensor = inputs[0].mean(tuple(range(2, inputs[0].dim())), keepdim=True)
    return mean


def _flatten(inputs: list[Any], attributes: Mapping[str, Any]) -> Tensor:
    """Return a matrix, whatever the axis."""
    axis = attributes.get("axis", 1)
    rows = math.prod(inputs[0].shape[:axis])
    matrix: Tensor = inputs[0].reshape(rows, -1)
    return matrix


def _transpose(inputs: list[Any], attributes: Mapping[str, Any]) -> Tensor:
    order = attributes.get("perm", range(inputs[0].dim() - 1, -1, -1))
    transposed: Tensor = inputs[0].permute(*order)
    return transposed


def _integers(value: Any) -> list[int]:
    return [int(each) for each in np.asarray(value).reshape(-1)]


def _reshape(inputs: list[Any], attributes: Mapping[str, Any]) -> Any:
    shape = _integers(inputs[1])
    if not attributes.get("allowzero", 0):
        shape = [inputs[0].shape[i] if size == 0 else size for i, size in enumerate(shape)]
    return inputs[0].reshape(shape)


def _layer_norm(inputs: list[Any], attributes: Mapping[str, Any]) -> Tensor:
    value, weight, bias = [*inputs, None, None][:3]
    axis = attributes.get("axis", -1) % value.dim()
    eps = attributes.get("epsilon", 1e-5)
    return functional.layer_norm(value, value.shape[axis:], weight, bias, eps)


def _clip(inputs: list[Any], _: Mapping[str, Any]) -> Tensor:
    value, low, high = [*inputs, None, None][:3]
    return torch.clamp(
        value, None if low is None else float(low), None if high is None else float(high)
    )


def _reduced(by: Callable[..., Tensor]) -> Callable[[list[Any], Mapping[str, Any]], Tensor]:
    def reduce(inputs: list[Any], attributes: Mapping[str, Any]) -> Tensor:
        every = list(range(inputs[0].dim()))
        axes = _integers(inputs[1]) if len(inputs) > 1 else list(attributes.get("axes", every))
        return by(inputs[0], axes, keepdim=bool(attributes.get("keepdims", 1)))

    return reduce


def _scatter(inputs: list[Any], _: Mapping[str, Any]) -> Tensor:
    """Return the first input with slices replaced, as the export writes operations in place."""
    value, indices, updates = inputs
    places = torch.as_tensor(np.asarray(indices), device=value.device)
    scattered: Tensor = value.index_put(places.unbind(-1), updates)
    return scattered


def _gelu(inputs: list[Any], attributes: Mapping[str, Any]) -> Tensor:
    how = attributes.get("approximate", b"none")
    return functional.gelu(inputs[0], approximate=how.decode() if isinstance(how, bytes) else how)


def _hard_sigmoid(inputs: list[Any], attributes: Mapping[str, Any]) -> Tensor:
    alpha, beta = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    return torch.clamp(alpha * inputs[0] + beta, 0, 1)


def _shape(inputs: list[Any], attributes: Mapping[str, Any]) -> Array:
    shape = np.asarray(inputs[0].shape, dtype=np.int64)
    return shape[attributes.get("start", 0) : attributes.get("end")]


def _squeeze(inputs: list[Any], _: Mapping[str, Any]) -> Any:
    axes = tuple(_integers(inputs[1])) if len(inputs) > 1 else None
    if isinstance(inputs[0], np.ndarray):
        return np.squeeze(inputs[0], axes)
    return inputs[0].squeeze() if axes is None else inputs[0].squeeze(axes)


def _gather(inputs: list[Any], attributes: Mapping[str, Any]) -> Any:
    value, indices = inputs
    axis = attributes.get("axis", 0)
    if isinstance(value, np.ndarray):
        return np.take(value, indices, axis)
    chosen = torch.as_tensor(np.asarray(indices), device=value.device)
    taken = value.index_select(axis, chosen.reshape(-1))
    axis %= value.dim()
    return taken.reshape(*value.shape[:axis], *chosen.shape, *value.shape[axis + 1 :])


def _concat(inputs: list[Any], attributes: Mapping[str, Any]) -> Any:
    if all(isinstance(value, np.ndarray) for value in inputs):
        return np.concatenate(inputs, attributes["axis"])
    return torch.cat(inputs, attributes["axis"])


def _expand(inputs: list[Any], _: Mapping[str, Any]) -> Tensor:
    shape = np.broadcast_shapes(tuple(inputs[0].shape), tuple(_integers(inputs[1])))
    expanded: Tensor = inputs[0].expand(shape)
    return expanded


def _slice(inputs: list[Any], _: Mapping[str, Any]) -> Any:
    value, starts, ends, axes, steps = [*inputs, None, None][:5]
    first, last = _integers(starts), _integers(ends)
    along = range(len(first)) if axes is None else _integers(axes)
    strides = [1] * len(first) if steps is None else _integers(steps)
    parts: list[Any] = [slice(None)] * value.ndim
    for axis, begin, end, stride in zip(along, first, last, strides, strict=True):
        parts[axis] = slice(begin, end, stride)
    return value[tuple(parts)]


def _split(inputs: list[Any], attributes: Mapping[str, Any]) -> tuple[Tensor, ...]:
    axis = attributes.get("axis", 0)
    if len(inputs) > 1:
        return torch.split(inputs[0], _integers(inputs[1]), axis)
    size = -(-inputs[0].shape[axis] // attributes["num_outputs"])  # the last part may be smaller
    return torch.split(inputs[0], size, axis)


def _unsqueezed(inputs: list[Any]) -> list[int]:
    shape = list(inputs[0].shape)
    for axis in sorted(_integers(inputs[1])):
        shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, 1)
    return shape


OPERATORS: Mapping[str, Callable[[list[Any], Mapping[str, Any]], Any]] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "AveragePool": _average_pool,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": lambda inputs, _: inputs[0] / inputs[1],
    "Erf": lambda inputs, _: torch.erf(inputs[0]),
    "Expand": _expand,
    "Flatten": _flatten,
    "Gelu": _gelu,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_average_pool,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda inputs, _: functional.hardswish(inputs[0]),
    "Identity": lambda inputs, _: inputs[0],
    "LayerNormalization": _layer_norm,
    "MatMul": lambda inputs, _: inputs[0] @ inputs[1],
    "MaxPool": _max_pool,
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "Relu": lambda inputs, _: torch.relu(inputs[0]),
    "Reshape": _reshape,
    "Sigmoid": lambda inputs, _: torch.sigmoid(inputs[0]),
    "Slice": _slice,
    "Softmax": lambda inputs, options: torch.softmax(inputs[0], options.get("axis", -1)),
    "Range": lambda inputs, _: np.arange(*(int(each) for each in inputs), dtype=np.int64),
    "ScatterND": _scatter,
    "Shape": _shape,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": lambda inputs, _: inputs[0] - inputs[1],
    "Transpose": _transpose,
    "Unsqueeze": lambda inputs, _: inputs[0].reshape(_unsqueezed(inputs)),
}
