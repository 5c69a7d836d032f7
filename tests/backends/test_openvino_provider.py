"""A part that OpenVINO does not take is refused, and not computed by ONNX Runtime's own kernels.

This environment has no such provider. That of Azure stands for it: it takes no operator of ONNX.
"""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest

from src.backends.base import Unavailable
from src.backends.onnx import openvino_provider
from src.backends.onnx.openvino_provider import OnnxOpenVinoRuntime
from src.shipped import runtime_onnxruntime_openvino
from tests.golden.pixels import GOLDEN
from tests.support import identity_models

OTHER = "AzureExecutionProvider"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if OTHER not in onnxruntime.get_available_providers():
        pytest.skip(f"no {OTHER}")
    for module in (openvino_provider, runtime_onnxruntime_openvino):
        monkeypatch.setattr(module, "PROVIDER", OTHER)
    return identity_models.onnx_file(GOLDEN.rules[0], tmp_path)


def test_a_row_whose_operators_openvino_does_not_take_is_not_available(file: Path) -> None:
    with pytest.raises(Unavailable, match=r"does not start: .*fallback to CPU EP has been"):
        OnnxOpenVinoRuntime(file, 1)


def test_a_bundle_whose_operators_openvino_does_not_take_is_refused(file: Path) -> None:
    with pytest.raises(Exception, match="fallback to CPU EP has been explicitly disabled"):
        runtime_onnxruntime_openvino.Runtime(file, 1)
