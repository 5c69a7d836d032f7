"""ONNX in fp16, for a GPU: half the size of ``onnx_fp32``; images and logits stay in fp32.

It is not for a CPU: ONNX Runtime has hardly any fp16 kernels there, and adds a conversion before
and after every operator.
"""

from __future__ import annotations

from pathlib import Path

from src.backends.base import ExportSource
from src.backends.onnx import file
from src.backends.onnx.pixel_input import fold_centre
from src.formats.onnx_fp32 import OnnxFp32


class OnnxFp16(OnnxFp32):
    """The fp32 graph with weights and products in fp16."""

    devices = ("cuda",)
    precision = "fp16"
    tolerance = 2e-2  # 11 bits of mantissa; the largest difference is 1 %, of DenseNet-121

    def export(self, source: ExportSource, folder: Path) -> None:
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel

        graph = onnx.load(source.fp32_graph.path)
        fold_centre(graph)
        model = convert_float_to_float16(graph, keep_io_types=True)
        # The converter puts the conversion of the images after the nodes that read it, which is
        # not valid ONNX.
        OnnxModel(model).topological_sort()
        file.write(model, source, folder)
