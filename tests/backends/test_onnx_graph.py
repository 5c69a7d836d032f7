"""Operators of fp32 graphs that are replaced by faster ones of the same result."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from src.backends.onnx import pooling


def mean_over(axes: list[int], keep: int, shape: list[int | str]) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["images", "axes"], ["logits"], keepdims=keep)],
        "mean",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [helper.make_tensor("axes", TensorProto.INT64, [len(axes)], axes)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize(
    ("axes", "keep", "shape", "expected"),
    [
        ([2, 3], 1, ["batch", 3, 4, 5], 1),
        ([-1, -2], 1, ["batch", 3, 4, 5], 1),
        ([2, 3], 0, ["batch", 3, 4, 5], 0),
        ([1, 2], 1, ["batch", 3, 4, 5], 0),
        ([1, 2], 1, ["batch", 3, 4], 0),
        ([2, 3], 1, ["batch", 3, 4, 5, 1], 0),
    ],
)
def test_a_mean_over_the_image_becomes_global_pooling_and_no_other(
    axes: list[int], keep: int, shape: list[int | str], expected: int
) -> None:
    model = mean_over(axes, keep, shape)
    values = np.random.default_rng(0).random([2, *shape[1:]], dtype=np.float32)
    before = run(model, values)
    assert pooling.use_global_average_pool(model) == expected
    assert model.graph.node[0].op_type == ("GlobalAveragePool" if expected else "ReduceMean")
    assert len(model.graph.initializer) == 1 - expected
    np.testing.assert_allclose(run(model, values), before, rtol=1e-6)


def run(model: onnx.ModelProto, values: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"images": values})[0]
