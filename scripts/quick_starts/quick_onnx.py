"""Plain ONNX Runtime in fp32: torch's exporter, a default session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.formats import _quick_onnx


class QuickOnnxFp32(_quick_onnx.QuickOnnx):
    precision = "fp32"
    tolerance = 5e-3

    def export(self, source: Any, folder: Path) -> None:
        _quick_onnx.export(source, folder / _quick_onnx.FILE)
