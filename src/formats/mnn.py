"""MNN in fp32: one file, dynamic batch, for phones and boards as well as for servers."""

from __future__ import annotations

from pathlib import Path

from src.backends import metadata_file
from src.backends.base import ExportSource
from src.backends.mnn.runtime import FILE, INPUT, OUTPUT, MnnRuntime
from src.backends.own_environment import OwnEnvironment
from src.formats.base import Bundling, Format
from src.run import usage_code
from src.run.facts import PreprocessingFacts


class Mnn(Format):
    """The fp32 graph, converted from ONNX by MNN's own converter."""

    requires = ("onnx", "onnxscript")
    runs_with = ("MNN",)
    devices = ("cpu",)
    precision = "fp32"
    tolerance = 5e-3  # other kernels, BatchNorm folded
    environment = OwnEnvironment("mnn", size_bytes=134_000_000)
    bundling = Bundling("runtime_mnn", (FILE, metadata_file.FILE), ("MNN",))

    def export(self, source: ExportSource, folder: Path) -> None:
        onnx_file = source.fp32_graph.normalised
        self.environment.run("src.backends.mnn.convert", str(onnx_file), str(folder / FILE))
        metadata_file.write(source, folder)

    def load(self, folder: Path, device: str, threads: int) -> MnnRuntime:
        return MnnRuntime(folder / FILE, threads)

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        opening = [
            f'metadata = open("{usage_code.FOLDER}/{metadata_file.FILE}", encoding="utf-8")',
            'names = json.load(metadata)["class_names"]',
            f'path = "{usage_code.FOLDER}/{FILE}"',
            'manager = nn.create_runtime_manager(({"backend": "CPU", "precision": "high"},))',
            f'model = nn.load_module_from_file(path, ["{INPUT}"], ["{OUTPUT}"], '
            "runtime_manager=manager)",
        ]
        call = (
            "model.forward([expr.const(images, list(images.shape), expr.NCHW, expr.float)])"
            "[0].read()"
        )
        return usage_code.lines(["from MNN import expr, nn"], opening, preprocessing, call)
