"""ONNX Runtime's static quantization with its default arguments.

https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from src.formats import _quick_onnx


class QuickOnnxStatic(_quick_onnx.QuickOnnx):
    precision = "int8"
    tolerance = None

    def export(self, source: Any, folder: Path) -> None:
        from onnxruntime.quantization import quantize_static

        with tempfile.TemporaryDirectory() as scratch:
            prepared = _quick_onnx.prepare(source, Path(scratch))
            quantize_static(prepared, folder / _quick_onnx.FILE, _quick_onnx.reader(source))
