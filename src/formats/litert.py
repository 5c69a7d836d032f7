"""LiteRT (TensorFlow Lite) in fp32: one file with XNNPACK's kernels, for phones and boards."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from src.backends import metadata_file
from src.backends.base import ExportSource
from src.backends.litert.names import FILE
from src.backends.litert.runtime import LitertRuntime
from src.backends.own_environment import OwnEnvironment
from src.formats.base import Bundling, Format
from src.run import usage_code
from src.run.facts import MOST_IMAGES, ExportDetails, PreprocessingFacts


class Litert(Format):
    """The fp32 graph, converted from ONNX by onnx2tf, for one image a call."""

    requires = ("onnx", "onnxscript")
    runs_with = ("ai_edge_litert",)
    devices = ("cpu",)
    precision = "fp32"
    tolerance: ClassVar[float | None] = 5e-3  # other kernels, BatchNorm folded
    environment = OwnEnvironment("litert", size_bytes=360_000_000, least_python=(3, 12))
    bundling = Bundling("runtime_ai_edge_litert", (FILE, metadata_file.FILE), ("ai-edge-litert",))

    def export(self, source: ExportSource, folder: Path) -> ExportDetails:
        self.convert(source, folder / FILE)
        metadata_file.write(source, folder)
        return ExportDetails(more={MOST_IMAGES: 1})

    def convert(self, source: ExportSource, target: Path) -> None:
        """Write the fp32 file."""
        onnx_file = source.fp32_graph.normalised
        self.environment.run("src.backends.litert.convert", str(onnx_file), str(target))

    def load(self, folder: Path, device: str, threads: int) -> LitertRuntime:
        return LitertRuntime(folder / FILE, threads)

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        opening = [
            f'metadata = open("{usage_code.FOLDER}/{metadata_file.FILE}", encoding="utf-8")',
            'names = json.load(metadata)["class_names"]',
            f'model = Interpreter("{usage_code.FOLDER}/{FILE}")',
            "run = model.get_signature_runner()",
        ]
        call = 'run(images=images)["logits"]'
        imports = ["from ai_edge_litert.interpreter import Interpreter"]
        return usage_code.lines(imports, opening, preprocessing, call)
