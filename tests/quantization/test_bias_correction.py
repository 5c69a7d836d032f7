"""Bias correction for the mean output error of rounded weights."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from src.backends.onnx import tensors
from src.quantization.onnx import bias_correction
from tests.quantization.onnx_models import RANDOM, images, model_of, node, run


def rounded(weights: np.ndarray, step: float = 0.25) -> np.ndarray:
    return (np.round(weights / step) * step).astype(np.float32)


CONVOLUTIONS = {
    "plain": ({}, (6, 3, 3, 3), True),
    "without a bias": ({}, (6, 3, 3, 3), False),
    "grouped": ({"group": 3}, (6, 1, 3, 3), True),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolutions_mean_output_is_that_of_the_float_weights_again(kind: str) -> None:
    options, shape, has_bias = CONVOLUTIONS[kind]
    weights = RANDOM.normal(size=shape)
    constants = {"weight": weights} | ({"bias": RANDOM.normal(size=6)} if has_bias else {})
    names = "images weight bias" if has_bias else "images weight"
    nodes = [
        node("Conv", names, "features", **options),
        node("GlobalAveragePool", "features", "pooled"),
        node("Flatten", "pooled", "logits"),
    ]
    drawn = images(64) + np.array([1.0, -2.0, 0.5], np.float32).reshape(3, 1, 1)
    # Pixels at the border are read less often than others; all the same, they have the same mean.
    drawn -= drawn.mean(axis=(0, 2, 3), keepdims=True) - np.array([1, -2, 0.5]).reshape(3, 1, 1)
    drawn = drawn.astype(np.float32)
    original = model_of(nodes, constants, classes=6)
    means = bias_correction.mean_inputs(original, drawn)
    np.testing.assert_allclose(means["images"], [1, -2, 0.5], atol=1e-5)

    crude = {"weight": rounded(weights)}
    quantized = model_of(nodes, constants | crude, classes=6)
    wanted = run(original, drawn).mean(axis=0)
    error = np.abs(run(quantized, drawn).mean(axis=0) - wanted).max()

    corrected = model_of(nodes, constants, classes=6)
    assert bias_correction.correct(corrected, crude, means) == 1
    constants = tensors.constants(corrected)
    bias = constants[corrected.graph.node[0].input[2]]
    with_bias = [node("Conv", "images weight bias", "features", **options), *nodes[1:]]
    after = run(model_of(with_bias, {**crude, "bias": bias}, classes=6), drawn).mean(axis=0)
    assert error > 0.1
    assert np.abs(after - wanted).max() < 0.1 * error


@pytest.mark.parametrize("kind", ["Gemm", "transposed Gemm", "MatMul"])
def test_a_linear_layers_mean_output_is_that_of_the_float_weights_again(kind: str) -> None:
    weights = RANDOM.normal(size=(192, 5))
    stored = weights.T if kind == "transposed Gemm" else weights
    flat = node("Flatten", "images", "flat")
    if kind == "MatMul":
        nodes = [
            flat,
            node("MatMul", "flat weight", "product"),
            node("Add", "bias product", "logits"),
        ]
    else:
        nodes = [flat, node("Gemm", "flat weight bias", "logits", transB=int("trans" in kind))]
    constants = {"weight": stored, "bias": RANDOM.normal(size=5)}
    drawn = images(32) + 1
    original = model_of(nodes, constants, classes=5)
    crude = {"weight": rounded(stored)}
    corrected = model_of(nodes, constants, classes=5)
    means = bias_correction.mean_inputs(original, drawn)
    assert bias_correction.correct(corrected, crude, means) == 1
    adder = corrected.graph.node[-1]
    name = next(input_name for input_name in adder.input if input_name.endswith("corrected_bias"))
    bias = tensors.constants(corrected)[name]
    after = run(model_of(nodes, {**crude, "bias": bias}, classes=5), drawn)
    before = run(model_of(nodes, constants | crude, classes=5), drawn)
    wanted = run(original, drawn).mean(axis=0)
    np.testing.assert_allclose(after.mean(axis=0), wanted, atol=1e-3)
    assert np.abs(before.mean(axis=0) - wanted).max() > 0.1


# Shapes that ONNX's Reshape gives to (N, 8, 8, 3); 0 keeps an axis.
SHAPES = {
    "an image each": (0, 64, 3),
    "windows of the images": (-1, 16, 3),
    "all images in one": (1, -1, 3),
    "a token each": (-1, 3),
}


@pytest.mark.parametrize("count", [8, 11, 3])  # a batch, one and a part of one, a part of one
@pytest.mark.parametrize("name", SHAPES)
def test_the_mean_of_an_input_does_not_depend_on_its_first_axis(name: str, count: int) -> None:
    """Swin and MaxViT multiply windows: their first axis is longer than the batch."""
    nodes = [
        node("Transpose", "images", "last", perm=[0, 2, 3, 1]),
        node("Reshape", "last shape", "windows"),
        node("MatMul", "windows weight", "product"),
        node("GlobalAveragePool", "images", "pooled"),
        node("Flatten", "pooled", "logits"),
    ]
    shape = onnx.numpy_helper.from_array(np.array(SHAPES[name], np.int64), "shape")
    model = model_of(nodes, {"weight": RANDOM.normal(size=(3, 5))}, 3, [shape])
    drawn = images(count) + np.arange(count, dtype=np.float32).reshape(-1, 1, 1, 1)
    means = bias_correction.mean_inputs(model, drawn)
    np.testing.assert_allclose(means["windows"], drawn.mean(axis=(0, 2, 3)), atol=1e-5)


def test_biases_of_layers_in_float_are_not_corrected() -> None:
    nodes = [node("Flatten", "images", "flat"), node("Gemm", "flat weight bias", "logits")]
    model = model_of(nodes, {"weight": RANDOM.normal(size=(192, 4)), "bias": np.zeros(4)})
    before = model.SerializeToString()
    assert bias_correction.correct(model, {}, bias_correction.mean_inputs(model, images())) == 0
    assert model.SerializeToString() == before
