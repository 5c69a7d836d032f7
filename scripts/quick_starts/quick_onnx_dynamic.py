"""ONNX Runtime's dynamic quantization with its default arguments.

https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from src.formats import _quick_onnx


class QuickOnnxDynamic(_quick_onnx.QuickOnnx):
    precision = "int8"
    tolerance = None

    def export(self, source: Any, folder: Path) -> None:
        from onnxruntime.quantization import quantize_dynamic

        with tempfile.TemporaryDirectory() as scratch:
            prepared = _quick_onnx.prepare(source, Path(scratch))
            quantize_dynamic(prepared, folder / _quick_onnx.FILE)
