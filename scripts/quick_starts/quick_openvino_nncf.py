"""NNCF's post-training quantization with its defaults.

https://github.com/openvinotoolkit/nncf#post-training-quantization
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.formats import _quick_openvino


class QuickOpenVinoNncf(_quick_openvino.QuickOpenVino):
    requires = ("torch", "openvino", "nncf")
    precision = "int8"
    tolerance = None

    def export(self, source: Any, folder: Path) -> None:
        import nncf
        import openvino

        dataset = nncf.Dataset(source.calibration.split(1), lambda image: image.numpy())
        quantized = nncf.quantize(_quick_openvino.convert(source), dataset)
        openvino.save_model(quantized, folder / _quick_openvino.FILE)
