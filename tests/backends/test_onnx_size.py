"""Networks whose weights are too large for one ONNX file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from src.backends.onnx import fp32_graph
from src.export.source import make_source
from src.export.stage import export_one
from src.models.network import NetworkSpec
from tests.formats.test_contract import PREPROCESSING
from tests.support.small_network import SmallNetwork


@pytest.mark.parametrize("name", ["onnx_fp32", "onnx_int8_dynamic"])
def test_a_network_that_no_onnx_file_can_hold_is_skipped_with_its_size(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protobuf itself says that it failed to serialize."""
    monkeypatch.setattr(fp32_graph, "_MOST_BYTES", 10)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    network, spec = SmallNetwork(3).eval(), NetworkSpec("small", 3)
    images = torch.randn(2, 3, 32, 32)
    source = make_source(network, spec, list("abc"), images, PREPROCESSING, scratch)
    entry = export_one(name, source, tmp_path / name)
    assert entry.status == "skipped"
    assert (entry.reason or "").startswith("its weights take 0.00 GB, and an ONNX file holds ")
    assert not list(scratch.iterdir())
