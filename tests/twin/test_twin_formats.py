"""The files of the twin: they compute what was trained, and say that it is another network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from src import formats
from src.backends.base import ExportSource, TwinGraph
from src.backends.onnx import tensors
from src.export.one_format import export_one
from src.quantization.onnx.recipe import OnnxRecipe
from src.system.packages import missing_packages
from src.twin.fake_quantization import FakeQuantization
from tests.twin.planted import record

NAMES = [name for name in formats.names() if formats.get(name).of_twin]


@pytest.fixture
def source(quantization: FakeQuantization, tmp_path: Path) -> ExportSource:
    """The network's source with a twin: the network itself."""
    quantization.write(quantization.network(), tmp_path / "network.onnx")
    made = record(ranges=quantization.ranges())
    twin = TwinGraph(tmp_path / "network.onnx", made)
    (tmp_path / "scratch").mkdir()
    return dataclasses.replace(quantization.source, twin=twin, scratch=tmp_path / "scratch")


def test_the_twin_has_its_three_formats() -> None:
    assert NAMES == ["onnx_fp32_twin", "onnx_int8_twin", "openvino_int8_twin"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_computes_what_was_trained_and_says_what_it_is(
    name: str,
    source: ExportSource,
    quantization: FakeQuantization,
    images: torch.Tensor,
    tmp_path: Path,
) -> None:
    format_ = formats.get(name)
    if missing := missing_packages(format_.requires):
        pytest.skip(f"not installed: {', '.join(missing)}")
    export = export_one(name, source, tmp_path / name)
    assert export.status == "ok", export.reason
    assert export.details is not None
    assert export.details.summary is not None
    assert any("another network than the trained one" in line for line in export.details.summary)
    logits = format_.load(tmp_path / name, "cpu", 1)(images.numpy())
    with torch.no_grad():
        trained = quantization.network().eval()(images).numpy()
    model = quantization.quantizer.quantize(OnnxRecipe())
    step = float(tensors.constants(model)["logits_scale"])
    # OpenVINO's kernels requantize by other fused operators.
    assert np.abs(logits - trained).max() <= (2.01 if name == "onnx_int8_twin" else 4) * step


@pytest.mark.parametrize("name", NAMES)
def test_without_a_twin_a_row_is_skipped_with_the_command_that_makes_one(
    name: str, quantization: FakeQuantization, tmp_path: Path
) -> None:
    if missing := missing_packages(formats.get(name).requires):
        pytest.skip(f"not installed: {', '.join(missing)}")
    export = export_one(name, quantization.source, tmp_path / name)
    assert (export.status, "python -m src.twin" in str(export.reason)) == ("skipped", True)
