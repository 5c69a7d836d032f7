"""OpenVINO in int8 of the twin: the same scales and zero points as in ``onnx_int8_twin``.

OpenVINO reads the quantize and dequantize nodes of the ONNX graph and computes between them in
int8.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from src.backends.base import ExportSource
from src.backends.onnx import twin
from src.backends.openvino import file
from src.formats.openvino_fp32 import OpenVinoFp32
from src.quantization.onnx.recipe import OnnxRecipe
from src.quantization.onnx.twin import TrainedQuantization
from src.run.facts import ExportDetails


class OpenVinoInt8Twin(OpenVinoFp32):
    """The twin's QDQ graph, converted."""

    requires = (*OpenVinoFp32.requires, "onnxruntime", "sympy")
    precision = "int8"
    tolerance = None
    takes_pixels = False
    of_twin = True

    def export(self, source: ExportSource, folder: Path) -> ExportDetails:
        import onnx
        import openvino

        graph = twin.required(source)
        trained = TrainedQuantization.of(source, graph)
        path = source.scratch / "twin_openvino.onnx"
        onnx.save_model(trained.quantizer.quantize(OnnxRecipe()), path)
        model = openvino.convert_model(path)
        file.write(model, source, folder, half=False, precision="f32")
        made = twin.details(graph)
        types = {"target": trained.choice.processor, "reduce_range": trained.choice.reduce_range}
        summary = [*(made.summary or []), trained.sentence()]
        return msgspec.structs.replace(made, summary=summary, more={**types, **made.more})
