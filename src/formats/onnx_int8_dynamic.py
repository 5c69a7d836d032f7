"""ONNX with int8 weights and activations quantized at run time.

It is a common recipe, so its cost is measured: convolutions become ``ConvInteger``, for which ONNX
Runtime has no fast kernel, and a convolutional network is usually slower than in fp32.
"""

from __future__ import annotations

from pathlib import Path

from src.backends.base import ExportSource
from src.backends.onnx import file
from src.formats.onnx_fp32 import OnnxFp32


class OnnxInt8Dynamic(OnnxFp32):
    """ONNX Runtime's dynamic quantization: no calibration."""

    requires = (*OnnxFp32.requires, "sympy")
    devices = ("cpu",)
    precision = "int8"
    tolerance = None
    mixes_batch = True  # an activation has one range over all images of the batch

    def export(self, source: ExportSource, folder: Path) -> None:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic

        path = source.scratch / "onnx_int8_dynamic.onnx"
        # ConvInteger is implemented for unsigned weights only.
        # https://github.com/microsoft/onnxruntime/issues/15888
        quantize_dynamic(source.fp32_graph.prepared, path, weight_type=QuantType.QUInt8)
        file.write(onnx.load(path), source, folder)
