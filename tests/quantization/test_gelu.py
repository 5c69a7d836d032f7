"""GELU in a quantized model as a product with a sigmoid, in int8."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from src.backends.onnx.runtime import OnnxRuntime
from src.quantization import evaluation
from src.quantization.evaluation import speedup_in_turn
from src.quantization.onnx.gelu import gelus, replace_gelus
from src.system import machine

STEP = np.float32(8 / 255)


def quantized(kind: type[np.uint8 | np.int8], *, between: bool = True) -> onnx.ModelProto:
    """Return a model with one GELU whose input and output are quantized."""
    zero = kind(128 if kind is np.uint8 else 0)
    nodes = [
        helper.make_node("QuantizeLinear", ["images", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["x"]),
        helper.make_node("Gelu", ["x" if between else "images"], ["y"], name="gelu"),
        helper.make_node("QuantizeLinear", ["y", "scale", "zero"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "scale", "zero"], ["logits"]),
    ]
    shape = ["N", 3, 4, 4]
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, shape)],
        [
            numpy_helper.from_array(np.array(STEP), "scale"),
            numpy_helper.from_array(np.array(zero), "zero"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_gelu_by_a_sigmoid_runs_in_int8_and_differs_by_at_most_two_steps(
    kind: type[np.uint8 | np.int8], tmp_path: Path
) -> None:
    images = np.linspace(-4, 4, 48, dtype=np.float32).reshape(1, 3, 4, 4)
    model = quantized(kind)
    before = ort.InferenceSession(model.SerializeToString()).run(None, {"images": images})[0]
    assert replace_gelus(model) == 1
    assert gelus(model) == 0
    onnx.checker.check_model(model)
    onnx.save_model(model, tmp_path / "model.onnx")
    runtime = OnnxRuntime(tmp_path / "model.onnx", "cpu", 1)
    assert np.abs(runtime(images) - before).max() < 2 * STEP
    if kind is np.uint8 or machine.is_arm():  # signed activations are what ARM's kernels take
        assert {"QLinearSigmoid", "QLinearMul"} <= set(runtime.profile(images).operators)


def test_a_gelu_that_is_kept_in_float_stays() -> None:
    model = quantized(np.uint8, between=False)
    before = model.SerializeToString()
    assert replace_gelus(model) == 0
    assert model.SerializeToString() == before


def test_timing_in_turn_finds_the_faster_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(evaluation.time, "perf_counter", lambda: now[0])

    def runtime(seconds: float) -> Any:
        def call(_: object) -> None:
            now[0] += seconds

        return call

    image = np.zeros((1, 3, 4, 4), np.float32)
    assert speedup_in_turn(runtime(0.02), runtime(0.03), image) == pytest.approx(1.5)
