"""ONNX in fp32: one file, dynamic batch, weights inside."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from src.backends.base import ExportSource, PictureClassifier, Runtime
from src.backends.onnx import embedding, exact_sums, file, oldest_version
from src.backends.onnx.picture_runtime import PictureRuntime
from src.backends.onnx.pixel_input import fold_centre
from src.backends.onnx.runtime import INPUT, OUTPUT, PROVIDERS, OnnxRuntime
from src.formats.base import Bundling, Format
from src.run import usage_code
from src.run.facts import ExportDetails, PreprocessingFacts
from src.run.file_input import NORMALISED, PIXELS, FileInput


class OnnxFp32(Format):
    """One ONNX file for ONNX Runtime; subclasses change its numbers or the execution provider.

    Attributes:
        provider: ONNX Runtime's execution provider; None for the device's own.
    """

    requires: ClassVar[tuple[str, ...]] = ("onnx", "onnxscript", "onnxruntime")
    runs_with = ("onnxruntime",)
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda", "browser")
    precision = "fp32"
    tolerance: ClassVar[float | None] = 5e-3  # other kernels, BatchNorm folded
    embeds = True
    takes_pixels = True
    bundling: ClassVar[Bundling | None] = Bundling(
        "runtime_onnxruntime", (file.FILE,), ("onnxruntime",)
    )
    provider: ClassVar[str | None] = None

    def export(self, source: ExportSource, folder: Path) -> ExportDetails | None:
        import onnx

        model = onnx.load(source.fp32_graph.path)
        fold_centre(model)
        file.write(model, source, folder)
        return None

    def load(self, folder: Path, device: str, threads: int) -> Runtime:
        if device == "browser":
            from src.backends.browser.runtime import BrowserRuntime

            return BrowserRuntime(folder / file.FILE)
        return OnnxRuntime(folder / file.FILE, device, threads, self.provider)

    def read_by(self, folder: Path) -> str | None:
        import onnx

        return oldest_version.read_by(onnx.load(folder / file.FILE))

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        return self._program(preprocessing, NORMALISED)

    def pixel_usage(self, preprocessing: PreprocessingFacts) -> str:
        return self._program(preprocessing, PIXELS)

    def _program(self, preprocessing: PreprocessingFacts, takes: FileInput) -> str:
        path = f"{usage_code.FOLDER}/{file.FILE}"
        is_int8 = self.precision == "int8"
        options = "options, " if is_int8 else ""
        opening = [
            *(exact_sums.program_lines() if is_int8 else ()),
            f'providers = ["{self.provider or PROVIDERS[self.devices[0]]}"]',
            f'session = onnxruntime.InferenceSession("{path}", {options}providers=providers)',
            'names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])',
        ]
        imports = exact_sums.IMPORTS if is_int8 else ("import onnxruntime",)
        call = f'session.run(["{OUTPUT}"], {{"{INPUT}": images}})[0]'
        return usage_code.lines(imports, opening, preprocessing, call, takes)

    def embed(self, folder: Path, target: Path) -> None:
        embedding.embed(folder, target)

    def load_embedded(self, folder: Path, threads: int) -> PictureClassifier:
        return PictureRuntime(folder / file.FILE, threads)
