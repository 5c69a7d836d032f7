"""NNCF's post-training quantization with its defaults.

https://github.com/openvinotoolkit/nncf#post-training-quantization
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.formats import _quick_openvino

requires = ("torch", "openvino", "nncf")
runs_with = ("openvino",)
devices = ("cpu",)
precision = "int8"
tolerance = None

load = _quick_openvino.load


def export(source: Any, folder: Path) -> None:
    import nncf
    import openvino

    dataset = nncf.Dataset(source.calibration.split(1), lambda image: image.numpy())
    quantized = nncf.quantize(_quick_openvino.convert(source), dataset)
    openvino.save_model(quantized, folder / _quick_openvino.FILE)
