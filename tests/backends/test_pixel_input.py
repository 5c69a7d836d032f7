"""ONNX networks that take pixels give the logits of the network that takes normalised floats."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from src.backends.onnx.pixel_input import CENTRED, Normalisation, fold_centre, take_pixels

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
COLOURS = {
    "imagenet": IMAGENET,
    "halves": ((0.5,) * 3, (0.5,) * 3),
    "none": ((0.0,) * 3, (1.0,) * 3),
    "grey": ((0.1307,), (0.3081,)),
    "six channels": ((0.1, 0.9, 0.5, 0.25, 0.75, 0.3), (0.2, 0.3, 0.1, 0.5, 0.25, 1.0)),
}
# First convolutions: kernel, padding (top, left, bottom, right), strides, dilations, groups.
SHAPES: dict[str, dict[str, Any]] = {
    "stem of ResNet": {"kernel": (7, 7), "pads": (3, 3, 3, 3), "strides": (2, 2)},
    "patches": {"kernel": (4, 4), "strides": (4, 4)},
    "odd padding": {"kernel": (3, 5), "pads": (0, 3, 2, 1), "strides": (1, 3)},
    "more padding than kernel": {"kernel": (2, 2), "pads": (4, 0, 5, 3)},
    "dilated": {"kernel": (3, 3), "pads": (2, 2, 2, 2), "dilations": (2, 2)},
    "a group a channel": {"kernel": (3, 3), "pads": (1, 1, 1, 1), "depthwise": True},
    "1x1": {"kernel": (1, 1)},
    "same": {"kernel": (3, 3), "auto_pad": "SAME_UPPER", "strides": (2, 2)},
    "valid": {"kernel": (3, 3), "auto_pad": "VALID"},
}
HEIGHT, WIDTH = 19, 23


def network(shape: dict[str, Any], channels: int, *, bias: bool, seed: int = 0) -> onnx.ModelProto:
    """A convolution of random weights and a ReLU."""
    shape = dict(shape)
    kernel, depthwise = shape.pop("kernel"), shape.pop("depthwise", False)
    groups = channels if depthwise else 1
    generator = np.random.default_rng(seed)
    weights = generator.normal(size=(2 * channels, channels // groups, *kernel))
    tensors = {
        "weights": weights,
        **({"bias": generator.normal(size=2 * channels)} if bias else {}),
    }
    nodes = [
        helper.make_node("Conv", ["images", *tensors], ["maps"], group=groups, **shape),
        helper.make_node("Relu", ["maps"], ["logits"]),
    ]
    return model_of(nodes, tensors, channels)


def model_of(
    nodes: list[onnx.NodeProto],
    tensors: dict[str, NDArray[Any]],
    channels: int = 3,
    rank: int = 4,
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", 1, ["batch", channels, HEIGHT, WIDTH])],
        [helper.make_tensor_value_info("logits", 1, list("abcd")[:rank])],
        [
            numpy_helper.from_array(np.asarray(value, np.float32), name)
            for name, value in tensors.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, images: NDArray[Any]) -> NDArray[np.float32]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(["logits"], {"images": images})[0])


def pixels(channels: int = 3, batch: int = 2) -> NDArray[np.uint8]:
    """Random pixels with black and white corners, where a wrong border shows most."""
    images = np.random.default_rng(1).integers(0, 256, (batch, HEIGHT, WIDTH, channels), np.uint8)
    images[:, :3, :3] = 0
    images[:, -3:, -3:] = 255
    return images


def normalised(images: NDArray[np.uint8], colours: Any) -> NDArray[np.float32]:
    mean, std = (np.array(part).reshape(1, -1, 1, 1) for part in colours)
    values = (images.transpose(0, 3, 1, 2) / 255 - mean) / std
    return values.astype(np.float32)


def normalisation(colours: Any) -> Normalisation:
    mean, std = map(np.array, colours)
    return Normalisation(mean * 255, 1 / (255 * std))


def relative(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


@pytest.mark.parametrize("colours", COLOURS.values(), ids=COLOURS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_pixels_give_the_logits_of_normalised_images(
    shape: dict[str, Any], colours: Any, bias: bool
) -> None:
    images = pixels(len(colours[0]))
    model = network(shape, len(colours[0]), bias=bias)
    expected = run(model, normalised(images, colours))
    assert take_pixels(model, normalisation(colours)) is None
    onnx.checker.check_model(model, full_check=True)
    assert "Mul" not in {node.op_type for node in model.graph.node}
    assert relative(run(model, images), expected) < 1e-5
    padded = any(shape.get("pads", ())) or shape.get("auto_pad") == "SAME_UPPER"
    assert fold_centre(model) is not padded
    assert (CENTRED in {name for node in model.graph.node for name in node.output}) is padded
    assert relative(run(model, images), expected) < 1e-5


def test_a_border_of_black_pixels_would_be_seen() -> None:
    images = pixels()
    model = network(SHAPES["stem of ResNet"], 3, bias=True)
    expected = run(model, normalised(images, IMAGENET))
    take_pixels(model, normalisation(IMAGENET))
    for node in model.graph.node:
        if node.op_type == "Conv":
            padding = next(value for value in node.attribute if value.name == "pads")
            padding.ints[:] = [0, 0, 0, 0]
    assert fold_centre(model)
    for node in model.graph.node:
        if node.op_type == "Conv":
            next(value for value in node.attribute if value.name == "pads").ints[:] = [3, 3, 3, 3]
    assert relative(run(model, images), expected) > 0.05


def test_a_network_that_begins_with_something_else_is_normalised_in_front() -> None:
    images = pixels()
    nodes = [
        helper.make_node("Relu", ["images"], ["positive"]),
        helper.make_node("Conv", ["positive", "weights"], ["logits"]),
    ]
    model = model_of(nodes, {"weights": np.random.default_rng(0).normal(size=(4, 3, 3, 3))})
    expected = run(model, normalised(images, IMAGENET))
    assert take_pixels(model, normalisation(IMAGENET)) == "the network begins with Relu"
    assert not fold_centre(model)
    assert relative(run(model, images), expected) < 1e-5


def test_a_convolution_of_computed_weights_is_normalised_in_front() -> None:
    images = pixels()
    nodes = [
        helper.make_node("Exp", ["logarithms"], ["weights"]),
        helper.make_node("Conv", ["images", "weights"], ["logits"]),
    ]
    model = model_of(nodes, {"logarithms": np.random.default_rng(0).normal(size=(4, 3, 3, 3))})
    expected = run(model, normalised(images, IMAGENET))
    assert "computed" in str(take_pixels(model, normalisation(IMAGENET)))
    assert relative(run(model, images), expected) < 1e-5


def test_two_branches_that_share_their_weights_are_both_folded() -> None:
    images = pixels()
    nodes = [
        helper.make_node("Conv", ["images", "weights"], ["one"], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["images", "weights"], ["inner"]),
        helper.make_node("Pad", ["inner", "pads"], ["two"]),
        helper.make_node("Add", ["one", "two"], ["sum"]),
        helper.make_node("Concat", ["sum", "shown"], ["logits"], axis=0),
        helper.make_node("Conv", ["ones", "weights"], ["shown"], pads=[1, 1, 1, 1]),
    ]
    weights = np.random.default_rng(0).normal(size=(4, 3, 3, 3))
    model = model_of([*nodes[:4], nodes[5], nodes[4]], {"weights": weights})
    more = {
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64),
        "ones": np.ones((1, 3, HEIGHT, WIDTH), np.float32),
    }
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in more.items()
    )
    expected = run(model, normalised(images, IMAGENET))
    assert take_pixels(model, normalisation(IMAGENET)) is None
    assert not fold_centre(model)  # one of them is padded
    assert relative(run(model, images), expected) < 1e-5


def test_the_input_is_declared_as_pixels_of_any_batch() -> None:
    model = network(SHAPES["stem of ResNet"], 3, bias=True)
    before = copy.deepcopy(model)
    take_pixels(model, normalisation(IMAGENET))
    [declared] = model.graph.input
    tensor = declared.type.tensor_type
    sides = [side.dim_param or side.dim_value for side in tensor.shape.dim]
    assert (declared.name, tensor.elem_type, sides) == (
        "images", TensorProto.UINT8, ["batch", HEIGHT, WIDTH, 3],
    )  # fmt: skip
    # Wrong pixels are not accepted.
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        run(model, normalised(pixels(), IMAGENET))
    assert "weights" in {tensor.name for tensor in before.graph.initializer}
    assert "weights" not in {tensor.name for tensor in model.graph.initializer}


def test_a_network_that_reads_the_shape_of_its_input_is_folded() -> None:
    images = pixels()
    nodes = [
        helper.make_node("Shape", ["images"], ["batch_size"], end=1),
        helper.make_node("Conv", ["images", "weights"], ["maps"], strides=[4, 4]),
        helper.make_node("Concat", ["batch_size", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["maps", "shape"], ["logits"]),
    ]
    model = model_of(nodes, {"weights": np.random.default_rng(0).normal(size=(4, 3, 4, 4))}, rank=2)
    model.graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), "rest"))
    expected = run(model, normalised(images, IMAGENET))
    assert take_pixels(model, normalisation(IMAGENET)) is None
    assert relative(run(model, images), expected) < 1e-5
    assert fold_centre(model)
    assert relative(run(model, images), expected) < 1e-5
