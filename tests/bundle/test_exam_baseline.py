"""The format whose answers an exam has as those of the trained network: one that runs on a CPU."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from src.bundle import exam


@pytest.mark.parametrize(
    ("measured", "exported", "baseline"),
    [
        (None, ["eager", "onnx_int8"], "eager"),
        (None, ["onnx_int8"], None),
        ("onnx_fp32", ["onnx_fp32", "eager", "onnx_int8"], "onnx_fp32"),
        ("eager", ["eager", "onnx_int8"], "eager"),
        ("onnx_fp32", ["eager", "onnx_int8"], None),  # no other one is that of the measurement
        # Those that run on a GPU only.
        ("eager_fp16", ["eager_fp16", "eager", "onnx_int8"], "eager"),
        ("eager_tf32", ["eager_tf32", "eager", "onnx_int8"], "eager"),
        ("onnx_fp16", ["onnx_fp16", "onnx_int8"], None),
        ("torchscript_fp16", ["torchscript_fp16", "onnx_fp32"], None),
    ],
)
def test_the_reference_of_an_exam_runs_on_a_cpu(
    measured: str | None, exported: list[str], baseline: str | None
) -> None:
    run: Any = SimpleNamespace(
        benchmark=SimpleNamespace(is_file=lambda: measured is not None),
        read_benchmark=lambda: SimpleNamespace(baseline=measured),
    )
    manifest: Any = SimpleNamespace(exported=exported)
    assert exam._baseline(run, manifest) == baseline
