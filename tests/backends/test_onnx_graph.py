"""What the fp32 graph of each architecture is made of, before and after quantization."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from src.backends.onnx import pooling
from src.export.source import make_source
from src.export.stage import export_one
from src.models.network import NetworkSpec
from tests.formats.test_contract import (
    BUILDERS,
    CLASSES,
    LARGEST_GRAPH,
    PREPROCESSING,
    trained_network,
)

POOLINGS = {"efficientnet_b0": 16 + 1}  # one in each squeeze-excite, and the last; else the last


@pytest.mark.parametrize(
    "builder",
    [pytest.param(name, marks=[pytest.mark.slow] * (name == LARGEST_GRAPH)) for name in BUILDERS],
)
def test_each_operator_is_one_that_the_runtime_is_fast_at(builder: str, tmp_path: Path) -> None:
    images = torch.randn(4, 3, 32, 32)
    spec = NetworkSpec(builder, len(CLASSES))
    network = trained_network(spec, images)
    (tmp_path / "scratch").mkdir()
    source = make_source(network, spec, CLASSES, images, PREPROCESSING, tmp_path / "scratch")
    entry = export_one("onnx_fp32", source, tmp_path / "onnx_fp32")
    assert entry.status == "ok", entry.reason
    model = onnx.load(tmp_path / "onnx_fp32" / "model.onnx")
    found = Counter(node.op_type for node in model.graph.node)
    assert found["BatchNormalization"] == found["ReduceMean"] == 0
    assert found["GlobalAveragePool"] == POOLINGS.get(builder, 1)
    if builder == "convnext_tiny":
        assert found["LayerNormalization"] == 23
        assert found["Gelu"] == 18
        assert found["MatMul"] == found["Erf"] == 0
    read = {name for node in model.graph.node for name in node.input}
    assert {each.name for each in model.graph.initializer} <= read


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
