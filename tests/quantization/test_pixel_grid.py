"""int8 ONNX files whose first convolution takes the pixels themselves."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from src.backends.onnx.pixel_input import CENTRED, take_pixels
from src.quantization.onnx.pixel_grid import use_pixels
from tests.backends.test_pixel_input import (
    COLOURS,
    HEIGHT,
    SHAPES,
    WIDTH,
    network,
    normalisation,
    pixels,
    run,
)

STEP = np.float32(276 / 255)  # of the calibrated grid, in levels
WRITTEN_OUT = {name: shape for name, shape in SHAPES.items() if name != "same"}


def quantize(model: onnx.ModelProto, zero_type: Any = np.uint8) -> NDArray[np.float64]:
    """Quantize the first convolution in place as ONNX Runtime's quantizer does.

    Its weights become those of 8 bits in ``model`` as well; they are returned.
    """
    [node] = [node for node in model.graph.node if node.op_type == "Conv"]
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    weights = constants[node.input[1]]
    scale = np.abs(weights).reshape(len(weights), -1).max(axis=1) / 127
    steps = np.rint(weights / scale[:, None, None, None]).astype(np.int8)
    parts: dict[str, Any] = {
        "w": steps, "w_scale": scale.astype(np.float32), "w_zero": np.zeros(len(steps), np.int8),
        "x_scale": STEP, "x_zero": np.array(115 if zero_type == np.uint8 else -13, zero_type),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", [CENTRED, "x_scale", "x_zero"], ["x_q"]),
        helper.make_node("DequantizeLinear", ["x_q", "x_scale", "x_zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["w_float"], axis=0),
    ]
    if len(node.input) > 2:
        bias_scale = (STEP * scale).astype(np.float32)
        bias = np.rint(constants[node.input[2]] / bias_scale).astype(np.int32)
        parts |= {"b": bias, "b_scale": bias_scale, "b_zero": np.zeros(len(bias), np.int32)}
        inputs = ["b", "b_scale", "b_zero"]
        nodes.append(helper.make_node("DequantizeLinear", inputs, ["b_float"], axis=0))
        node.input[2] = "b_float"
    node.input[0], node.input[1] = "x", "w_float"
    for name, value in parts.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    first = list(model.graph.node).index(node)
    for item in reversed(nodes):
        model.graph.node.insert(first, item)
    return steps * scale[:, None, None, None].astype(np.float64)


def exact(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a quantized model without the rounding of its input."""
    model = copy.deepcopy(model)
    for node in model.graph.node:
        if node.op_type == "Conv":
            node.input[0] = CENTRED
    return model


def inside(shape: dict[str, Any], axis: int, outputs: int) -> NDArray[np.bool_]:
    """Return the positions of an axis whose inputs are all in the image."""
    pads = shape.get("pads", (0, 0, 0, 0))
    stride = shape.get("strides", (1, 1))[axis]
    reach = (shape["kernel"][axis] - 1) * shape.get("dilations", (1, 1))[axis]
    first = np.arange(outputs) * stride - pads[axis]
    within: NDArray[np.bool_] = (first >= 0) & (first + reach < (HEIGHT, WIDTH)[axis])
    return within


@pytest.mark.parametrize("colours", COLOURS.values(), ids=COLOURS)
@pytest.mark.parametrize("shape", WRITTEN_OUT.values(), ids=WRITTEN_OUT)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_pixels_are_exact_inside_and_half_a_level_off_at_the_border(
    shape: dict[str, Any], colours: Any, bias: bool
) -> None:
    images = pixels(len(colours[0]))
    model = network(shape, len(colours[0]), bias=bias)
    model.graph.node.pop()  # the ReLU would hide differences
    model.graph.node[0].output[0] = "logits"
    take_pixels(model, normalisation(colours))
    weights = np.abs(quantize(model))
    expected = run(exact(model), images)
    assert use_pixels(model)
    onnx.checker.check_model(model, full_check=True)
    assert not {"Cast", "Sub", "QuantizeLinear"} & {node.op_type for node in model.graph.node}
    difference = np.abs(run(model, images) - expected)
    bias_step = 2 * weights.max() / 127 + 1e-5 * np.abs(expected).max()
    assert difference.max() <= 0.5 * weights.sum(axis=(1, 2, 3)).max() + bias_step
    rows, columns = (inside(shape, axis, expected.shape[2 + axis]) for axis in (0, 1))
    assert difference[:, :, rows][..., columns].max(initial=0) <= bias_step


@pytest.mark.parametrize("name", ["imagenet", "halves"])
def test_only_centres_that_differ_need_a_border(name: str) -> None:
    model = network(SHAPES["stem of ResNet"], 3, bias=True)
    take_pixels(model, normalisation(COLOURS[name]))
    quantize(model)
    assert use_pixels(model)
    assert ("Max" in {node.op_type for node in model.graph.node}) is (name == "imagenet")


def test_models_that_cannot_take_pixels_stay_as_they_were() -> None:
    plain, signed, same = (
        network(SHAPES[name], 3, bias=True) for name in ("1x1", "stem of ResNet", "same")
    )
    for model in (plain, signed, same):
        take_pixels(model, normalisation(COLOURS["imagenet"]))
    quantize(signed, np.int8)  # as for ARM
    quantize(same)  # its padding is not written out
    for model in (plain, signed, same):
        before = model.SerializeToString()
        assert not use_pixels(model)
        assert model.SerializeToString() == before
