"""Plain ONNX Runtime in fp32: torch's exporter, a default session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.formats import _quick_onnx

requires = runs_with = ("onnxruntime",)
devices = ("cpu",)
precision = "fp32"
tolerance = 5e-3

load = _quick_onnx.load


def export(source: Any, folder: Path) -> None:
    _quick_onnx.export(source, folder / _quick_onnx.FILE)
