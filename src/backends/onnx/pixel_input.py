"""Make an ONNX network take uint8 pixels, with the normalisation folded into its first convolution.

``(p * scale - mean) / std`` of a pixel ``p`` is ``(p - mean / scale) * (scale / std)``. The factor
goes into the weights, a channel each. The centre ``mean / scale`` stays as a subtraction if the
convolution has padding: the padding is zero after the normalisation, so before it, it is the centre
and not a pixel of 0. Without padding, the centre goes into the bias.

A network that begins with something else gets the whole normalisation in front, which is as exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from src.backends.onnx import tensors
from src.backends.onnx.runtime import INPUT
from src.run.facts import PreprocessingFacts

if TYPE_CHECKING:
    import onnx

_PREFIX = "pixels/"
PLANES, VALUES, CENTRED = (f"{_PREFIX}{name}" for name in ("planes", "values", "centred"))
CENTRE = f"{_PREFIX}centre"
_SCALED = f"{_PREFIX}scaled"
_HEAD = {PLANES, VALUES, CENTRED, _SCALED}
_NHWC_TO_NCHW = (0, 3, 1, 2)


@dataclass(frozen=True)
class Normalisation:
    """``(pixel - centre) * factor`` by channel, (C,) each, in float64."""

    centre: NDArray[np.float64]
    factor: NDArray[np.float64]

    @classmethod
    def of(cls, preprocessing: PreprocessingFacts) -> Normalisation:
        """Return the normalisation of pixels from 0 to 255."""
        scale = preprocessing.scale or 1 / 255
        mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
        return cls(mean / scale, scale / std)


def take_pixels(model: onnx.ModelProto, normalisation: Normalisation) -> str | None:
    """Give ``model`` the input ``images``, uint8 (N, H, W, C), in place.

    Its input was normalised float32, (N, C, H, W). The logits stay the same to fp32 rounding.

    Returns:
        The reason why nothing could be folded, as a part of a sentence; None if it was folded.
    """
    from onnx import TensorProto, helper

    _, readers = _split(tensors.readers(model).get(INPUT, []))
    reason = _cannot_fold(model, readers)
    _add(model, CENTRE, _column(normalisation.centre))
    head = [
        helper.make_node("Transpose", [INPUT], [PLANES], perm=_NHWC_TO_NCHW),
        helper.make_node("Cast", [PLANES], [VALUES], to=TensorProto.FLOAT),
        helper.make_node("Sub", [VALUES, CENTRE], [CENTRED]),
    ]
    first = CENTRED
    if reason is None:
        for node in readers:
            _scale_weights(model, node, normalisation.factor)
    else:
        _add(model, f"{_PREFIX}factor", _column(normalisation.factor))
        head.append(helper.make_node("Mul", [CENTRED, f"{_PREFIX}factor"], [_SCALED]))
        first = _SCALED
    _replace_input(model, first)
    for node in reversed(head):
        node.name = node.output[0]
        model.graph.node.insert(0, node)
    _declare(model, TensorProto.UINT8, (0, 2, 3, 1))
    _remove_unread(model)
    return reason


def without_pixels(model: onnx.ModelProto) -> bool:
    """Cut the nodes of :func:`take_pixels` off, in place, for a runtime that writes its own.

    The input is then ``pixel - centre``, float32 (N, C, H, W), times the factor if it is not
    folded.

    Returns:
        True if the factor is in the weights.
    """
    from onnx import TensorProto

    folded = not any(_SCALED in node.output for node in model.graph.node)
    first = CENTRED if folded else _SCALED
    for node in [node for node in model.graph.node if _HEAD & set(node.output)]:
        model.graph.node.remove(node)
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == first:
                node.input[position] = INPUT
    _declare(model, TensorProto.FLOAT, (0, 3, 1, 2))
    _remove_unread(model)
    return folded


def fold_centre(model: onnx.ModelProto) -> bool:
    """Move the subtraction of the centre into the bias of convolutions without padding, in place.

    It is for files that compute the convolution in float: quantized weights times pixels that are
    not centred would add their rounding errors to the mean of the output.

    Returns:
        False if a reader of the centred pixels is anything else; the model is then as it was.
    """
    constants = tensors.constants(model)
    shapes, readers = _split(tensors.readers(model).get(CENTRED, []))
    for node in readers:
        known = node.op_type == "Conv" and constants.keys() >= set(node.input[1:])
        if not known or is_padded(node):
            return False
    if not readers or CENTRE not in constants:
        return False
    centre = constants[CENTRE].reshape(-1).astype(np.float64)
    for number, node in enumerate(readers):
        weights = constants[node.input[1]].astype(np.float64)
        bias = constants[node.input[2]].astype(np.float64) if len(node.input) > 2 else 0.0  # noqa: PLR2004
        shift = _by_input(weights, centre, _groups(node)).sum(axis=(1, 2, 3))
        name = f"{_PREFIX}bias_{number}"
        _add(model, name, (bias - shift).astype(np.float32))
        del node.input[2:]
        node.input.append(name)
        node.input[0] = VALUES
    for node in shapes:
        node.input[0] = VALUES
    for node in [node for node in model.graph.node if CENTRED in node.output]:
        model.graph.node.remove(node)
    _remove_unread(model)
    return True


def is_padded(convolution: onnx.NodeProto) -> bool:
    """Return True if a convolution may add a border to its input."""
    values = tensors.attributes(convolution)
    automatic = values.get("auto_pad", b"NOTSET")
    if automatic in {b"SAME_UPPER", b"SAME_LOWER"}:
        return True
    return automatic != b"VALID" and any(values.get("pads", ()))


def _split(
    readers: Sequence[onnx.NodeProto],
) -> tuple[list[onnx.NodeProto], list[onnx.NodeProto]]:
    """Return the nodes that read only the shape of a tensor, and those that read its values."""
    shapes = [node for node in readers if node.op_type == "Shape"]
    return shapes, [node for node in readers if node.op_type != "Shape"]


def _cannot_fold(model: onnx.ModelProto, readers: Sequence[onnx.NodeProto]) -> str | None:
    """Return the reason why the factors cannot go into the weights of the first nodes."""
    constants = tensors.constants(model)
    if INPUT in {value.name for value in model.graph.output} or not readers:
        return "the network returns its input"
    for node in readers:
        if node.op_type != "Conv" or list(node.input).count(INPUT) != 1:
            return f"the network begins with {node.op_type}"
        if node.input[1] not in constants:
            return "the weights of its first convolution are computed"
    return None


def _scale_weights(
    model: onnx.ModelProto, node: onnx.NodeProto, factor: NDArray[np.float64]
) -> None:
    weights = tensors.constants(model)[node.input[1]]
    scaled = _by_input(weights.astype(np.float64), factor, _groups(node))
    name = f"{_PREFIX}{node.input[1]}"  # others may read the weights as they were
    _add(model, name, scaled.astype(weights.dtype))
    node.input[1] = name


def _by_input(
    weights: NDArray[np.float64], values: NDArray[np.float64], groups: int
) -> NDArray[np.float64]:
    """Multiply weights (O, C / groups, h, w) by a value for each of the C input channels."""
    outputs, inputs = weights.shape[:2]
    by_group = weights.reshape(groups, outputs // groups, inputs, -1)
    return (by_group * values.reshape(groups, 1, inputs, 1)).reshape(weights.shape)


def _groups(node: onnx.NodeProto) -> int:
    groups: int = tensors.attributes(node).get("group", 1)
    return groups


def _column(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32).reshape(1, -1, 1, 1)


def _add(model: onnx.ModelProto, name: str, values: NDArray[np.generic]) -> None:
    from onnx import numpy_helper

    if name not in {tensor.name for tensor in model.graph.initializer}:
        model.graph.initializer.append(numpy_helper.from_array(values, name))


def _replace_input(model: onnx.ModelProto, name: str) -> None:
    for node in model.graph.node:
        for position, read in enumerate(node.input):
            if read == INPUT:
                node.input[position] = name


def _declare(model: onnx.ModelProto, kind: int, order: tuple[int, ...]) -> None:
    """Declare the type of the input, and the sizes that it had in another order."""
    [declared] = [value for value in model.graph.input if value.name == INPUT]
    tensor = declared.type.tensor_type
    tensor.elem_type = kind
    old = [type(side).FromString(side.SerializeToString()) for side in tensor.shape.dim]
    for side, number in zip(tensor.shape.dim, order, strict=True):
        side.CopyFrom(old[number])


def _remove_unread(model: onnx.ModelProto) -> None:
    read = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in model.graph.initializer if tensor.name not in read]:
        model.graph.initializer.remove(tensor)
