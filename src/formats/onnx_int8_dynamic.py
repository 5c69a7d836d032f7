"""ONNX with int8 weights and activations quantized at run time: the source report's recipe.

It is here to be measured. Convolutions become ``ConvInteger``, for which ONNX Runtime has no
fast kernel, so a convolutional network is usually slower than in fp32.
"""

from __future__ import annotations

from pathlib import Path

from src.backends.base import ExportSource
from src.backends.onnx import embedding, file

requires = ("onnx", "onnxscript", "onnxruntime", "sympy")
runs_with = ("onnxruntime",)
devices = ("cpu",)
precision = "int8"
tolerance = None
mixes_batch = True  # one range of each activation, over all images of the batch

load = file.load
usage = file.usage
embed = embedding.embed


def export(source: ExportSource, folder: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # ConvInteger is implemented for unsigned weights only.
    # https://github.com/microsoft/onnxruntime/issues/15888
    model = file.quantized(quantize_dynamic, source, weight_type=QuantType.QUInt8)
    file.write(model, source, folder)
