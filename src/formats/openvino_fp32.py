"""OpenVINO in fp32: the graph and its weights, dynamic batch."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from src.backends.base import ExportSource
from src.backends.openvino import file
from src.backends.openvino.runtime import OpenVinoRuntime
from src.formats.base import Bundling, Format
from src.run import usage_code
from src.run.facts import ExportDetails, PreprocessingFacts
from src.run.file_input import NORMALISED, PIXELS, FileInput


class OpenVinoFp32(Format):
    """OpenVINO's intermediate representation; subclasses change its numbers."""

    requires: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "openvino")
    runs_with = ("openvino",)
    devices = ("cpu",)
    precision = "fp32"
    tolerance: ClassVar[float | None] = 5e-3  # other kernels, BatchNorm folded
    takes_pixels = True
    bundling = Bundling("runtime_openvino", (file.FILE, file.WEIGHTS), ("openvino",))

    def export(self, source: ExportSource, folder: Path) -> ExportDetails | None:
        file.write(file.model(source), source, folder, half=False, precision="f32")
        return None

    def load(self, folder: Path, device: str, threads: int) -> OpenVinoRuntime:
        return OpenVinoRuntime(folder / file.FILE, device, threads, "f32")

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        return self._program(preprocessing, NORMALISED)

    def pixel_usage(self, preprocessing: PreprocessingFacts) -> str:
        return self._program(preprocessing, PIXELS)

    def _program(self, preprocessing: PreprocessingFacts, takes: FileInput) -> str:
        shape, (section, key) = list(takes.shape(1, preprocessing.image_size)), file.PRECISION
        opening = [
            "core = openvino.Core()",
            f'graph = core.read_model("{usage_code.FOLDER}/{file.FILE}")',
            f'names = json.loads(graph.get_rt_info(["{section}", "class_names"]).value)',
            # Without this hint OpenVINO uses bf16 on processors that have it.
            f'precision = graph.get_rt_info(["{section}", "{key}"]).value',
            # The file takes any batch size.
            f"graph.reshape({shape})  # faster than a batch size that may change",
            'model = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": precision})',
        ]
        call = "model(images)[0]"
        return usage_code.lines(["import openvino"], opening, preprocessing, call, takes)
