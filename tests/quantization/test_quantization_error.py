"""The quantization error of each tensor of an int8 file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from src.export.source import make_source
from src.export.stage import export_one
from src.formats.onnx_int8 import OnnxInt8
from src.models.network import NetworkSpec
from tests.formats.test_contract import PREPROCESSING
from tests.support.small_network import small_network

IMAGES = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_activations_and_weights_are_ranked_by_their_noise(tmp_path: Path) -> None:
    spec, network = NetworkSpec("small", 5), small_network(5, IMAGES)
    (tmp_path / "scratch").mkdir()
    source = make_source(network, spec, list("abcde"), IMAGES, PREPROCESSING, tmp_path / "scratch")
    for name in ("onnx_fp32", "onnx_int8"):
        assert export_one(name, source, tmp_path / name).status == "ok"
    errors = OnnxInt8().sensitivity(tmp_path / "onnx_int8", tmp_path, IMAGES[:4].numpy())
    noise = [error.sqnr_db for error in errors]
    assert noise == sorted(noise)
    assert len(noise) >= 8  # the network has 4 products, each with a weight and an input
    assert 0 < noise[0] < 60
    assert {error.kind for error in errors} == {"activation", "weight"}
    with pytest.raises(FileNotFoundError, match="onnx_fp32, which was not exported"):
        OnnxInt8().sensitivity(tmp_path / "onnx_int8", tmp_path / "nowhere", IMAGES[:4].numpy())
