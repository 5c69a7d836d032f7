"""Weights with a zero point of 1: the same convolution by im2col and GEMM, and when it pays off."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from src.backends.onnx import tensors
from src.quantization.onnx.gemm_convolutions import convolutions, suited, use_gemm
from tests.quantization.onnx_models import images, model_of, node, run

STEP = np.float32(0.05)


def quantized() -> onnx.ModelProto:
    """Return two int8 convolutions; the largest weight of one channel is 127 steps."""
    weights = np.random.default_rng(1).integers(-100, 100, (2, 4, 3, 1, 1))
    weights[0, 0, 0], weights[1, 0, 0] = 127, -127
    return model_of(
        [
            node("QuantizeLinear", "images step zero", "q"),
            node("DequantizeLinear", "q step zero", "d"),
            node("DequantizeLinear", "first scales zeros", "w1", axis=0),
            node("DequantizeLinear", "second scales zeros_too", "w2", axis=0),
            node("Conv", "d w1", "a"),
            node("Conv", "d w2", "b"),
            node("Add", "a b", "sum"),
            node("GlobalAveragePool", "sum", "pooled"),
            node("Flatten", "pooled", "logits"),
        ],
        {},
        constants=[
            numpy_helper.from_array(np.array(STEP), "step"),
            numpy_helper.from_array(np.array(128, np.uint8), "zero"),
            numpy_helper.from_array(np.full(4, 0.01, np.float32), "scales"),
            *(
                numpy_helper.from_array(np.zeros(4, np.int8), name)
                for name in ("zeros", "zeros_too")
            ),
            *(
                numpy_helper.from_array(values.astype(np.int8), name)
                for name, values in zip(("first", "second"), weights, strict=True)
            ),
        ],
    )


def test_only_the_largest_weight_of_a_channel_changes_by_a_step() -> None:
    model = quantized()
    assert convolutions(model) == ["a_node", "b_node"]
    before = tensors.constants(model)
    assert use_gemm(model, ["a_node"]) == 1
    after = tensors.constants(model)
    lost = before["first"].astype(int) - (after["first"].astype(int) - after["zeros"][0])
    assert list(np.argwhere(lost)[0]) == [0, 0, 0, 0]
    assert lost.sum() == 1
    assert after["zeros"].tolist() == [1, 1, 1, 1]
    assert (after["second"] == before["second"]).all()
    assert convolutions(model) == ["b_node"]


def test_the_gemm_kernel_computes_the_same_as_the_symmetric_one() -> None:
    model, drawn = quantized(), images(4)
    before = run(model, drawn)
    assert use_gemm(model, convolutions(model)) == 2
    onnx.checker.check_model(model, full_check=True)
    one_step = 0.01 * np.abs(drawn).max()  # of one weight of one channel
    assert np.abs(run(model, drawn) - before).max() <= one_step + 1e-5
    assert np.abs(run(model, drawn) - before)[:, 1:].max() < 1e-5


def test_a_convolution_in_float_is_left_alone() -> None:
    model = model_of(
        [node("Conv", "images kernel", "a"), node("Flatten", "a", "logits")],
        {"kernel": np.ones((4, 3, 8, 8))},
    )
    assert convolutions(model) == []
    assert use_gemm(model, ["a_node"]) == 0


def convolution(weights: tuple[int, ...], group: int = 1) -> onnx.ModelProto:
    """Return an int8 convolution with weights of a shape. Its input shape does not matter."""
    zero = np.zeros(weights[0], np.int8)
    graph = helper.make_graph(
        [
            node("DequantizeLinear", "weight scale zero", "w", axis=0),
            node("Conv", "images w", "a", group=group),
        ],
        "one",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.ones(weights, np.int8), "weight"),
            numpy_helper.from_array(np.ones(weights[0], np.float32), "scale"),
            numpy_helper.from_array(zero, "zero"),
        ],
    )
    return helper.make_model(graph)


@pytest.mark.parametrize(
    ("weights", "group", "gains"),
    [
        ((64, 3, 7, 7), 1, True),  # ResNet's stem
        ((64, 64, 3, 3), 1, False),
        ((128, 128, 3, 3), 1, True),
        ((32, 128, 3, 3), 1, False),  # DenseNet's growth
        ((128, 512, 1, 1), 1, True),
        ((384, 96, 1, 1), 1, False),  # ConvNeXt's first expansion
        ((96, 384, 1, 1), 1, True),
        ((768, 1, 7, 7), 768, False),
    ],
)
def test_convolutions_of_many_products_gain_by_gemm(
    weights: tuple[int, ...], group: int, gains: bool
) -> None:
    assert suited(convolution(weights, group)) == (["a_node"] if gains else [])
