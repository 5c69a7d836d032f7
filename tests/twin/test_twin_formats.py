"""The files of the twin: they compute what was trained, and say that it is another network."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch

from src import formats
from src.backends.base import ExportSource, TwinGraph
from src.backends.onnx import tensors
from src.export.one_format import export_one
from src.quantization import target
from src.quantization.onnx.recipe import OnnxRecipe
from src.system.packages import missing_packages
from src.twin.fake_quantization import FakeQuantization
from src.twin.graph_network import GraphNetwork
from tests.twin.conftest import train_a_little
from tests.twin.planted import record

NAMES = [name for name in formats.names() if formats.get(name).of_twin]


@pytest.fixture(scope="module")
def trained(quantization: FakeQuantization, images: torch.Tensor) -> GraphNetwork:
    network = quantization.network()
    train_a_little(network, images, lr=0.02)  # within the ranges of the logits
    return network


@pytest.fixture
def source(quantization: FakeQuantization, trained: GraphNetwork, tmp_path: Path) -> ExportSource:
    """The network's source with a twin: the network after a few steps of training."""
    quantization.write(trained, tmp_path / "network.onnx")
    made = record(ranges=quantization.ranges(), processor=quantization.choice.processor)
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
    trained: GraphNetwork,
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
    assert source.twin is not None
    in_float = GraphNetwork(onnx.load(source.twin.path)).eval()
    with torch.no_grad():
        expected = (in_float if name == "onnx_fp32_twin" else trained)(images).numpy()
        untrained = quantization.network().eval()(images).numpy()
    step = float(tensors.constants(quantization.quantizer.quantize(OnnxRecipe()))["logits_scale"])
    # OpenVINO's kernels requantize by other fused operators.
    allowed = {"onnx_fp32_twin": 0.01, "onnx_int8_twin": 2.01}.get(name, 4) * step
    assert np.abs(logits - expected).max() <= allowed
    assert np.abs(logits - untrained).max() > 8 * step


def test_the_types_are_those_of_the_training_on_any_processor(
    source: ExportSource, tmp_path: Path
) -> None:
    assert source.twin is not None
    for processor, kind in (("arm", "int8"), ("vnni", "uint8")):
        made = msgspec.structs.replace(source.twin.record, processor=processor)
        other = dataclasses.replace(source, twin=TwinGraph(source.twin.path, made))
        export = export_one("onnx_int8_twin", other, tmp_path / processor)
        assert export.details is not None
        assert export.details.more["activation_type"] == kind
        told = " ".join(export.details.summary or ())
        assert f"those of its training, for {processor}" in told
        assert ("tells nothing certain" in told) == (processor != target.this_processor())


def test_a_twin_that_is_not_faster_in_float_has_no_float_file(
    source: ExportSource, tmp_path: Path
) -> None:
    assert source.twin is not None
    slow = msgspec.structs.replace(source.twin.record, fp32_speedup=0.97)
    other = dataclasses.replace(source, twin=TwinGraph(source.twin.path, slow))
    export = export_one("onnx_fp32_twin", other, tmp_path / "fp32")
    assert (export.status, export.reason) == (
        "skipped",
        "in fp32 the int8 twin is 0.97 times as fast as the network",
    )


def test_a_graph_that_names_further_files_is_refused(source: ExportSource, tmp_path: Path) -> None:
    assert source.twin is not None
    model = onnx.load(source.twin.path)
    onnx.save_model(
        model, source.twin.path, save_as_external_data=True, location="weights", size_threshold=0
    )
    for name in ("onnx_fp32_twin", "onnx_int8_twin"):
        export = export_one(name, source, tmp_path / name)
        assert export.status == "failed"
        assert "names files outside of it" in str(export.reason)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_twin_a_row_is_skipped_with_the_command_that_makes_one(
    name: str, quantization: FakeQuantization, tmp_path: Path
) -> None:
    if missing := missing_packages(formats.get(name).requires):
        pytest.skip(f"not installed: {', '.join(missing)}")
    source = dataclasses.replace(quantization.source, without_twin="make it: python -m src.twin")
    export = export_one(name, source, tmp_path / name)
    assert (export.status, export.reason) == ("skipped", "make it: python -m src.twin")
