"""ExecuTorch in fp32: one program with XNNPACK's kernels, for phones and boards."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from src.backends import metadata_file
from src.backends.base import ExportSource
from src.backends.executorch import handover
from src.backends.executorch.runtime import FILE, ExecutorchRuntime
from src.backends.own_environment import OwnEnvironment
from src.formats.base import Bundling, Format
from src.run import usage_code
from src.run.facts import MOST_IMAGES, ExportDetails, PreprocessingFacts

CONVERT = "src.backends.executorch.convert"


class Executorch(Format):
    """The program of ``torch.export``, lowered for XNNPACK; a subclass changes its numbers."""

    requires = ("torch",)
    runs_with = ("executorch",)
    devices = ("cpu",)
    precision = "fp32"
    tolerance: ClassVar[float | None] = 5e-3  # other kernels, BatchNorm folded
    environment = OwnEnvironment("executorch", size_bytes=5_600_000_000, minutes=5)
    bundling = Bundling(
        "runtime_executorch",
        (FILE, metadata_file.FILE),
        ("executorch", "torch"),
        remark="The Python package of ExecuTorch needs PyTorch. Its runtimes in C++, Kotlin and "
        "Swift, for phones and boards, do without: they read the same file.",
    )

    def export(self, source: ExportSource, folder: Path) -> ExportDetails:
        most_images = self.convert(str(handover.program(source)), str(folder / FILE))
        metadata_file.write(source, folder)
        return ExportDetails(more={MOST_IMAGES: most_images})

    def convert(self, *argv: str) -> int | None:
        """Run the converter; return the most images of a call, None if it does not tell."""
        last = self.environment.run(CONVERT, *argv).strip().rpartition("\n")[2]
        return int(last) if last.isdecimal() else None

    def load(self, folder: Path, device: str, threads: int) -> ExecutorchRuntime:
        return ExecutorchRuntime(folder / FILE, threads)

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        opening = [
            f'metadata = open("{usage_code.FOLDER}/{metadata_file.FILE}", encoding="utf-8")',
            'names = json.load(metadata)["class_names"]',
            f'program = Runtime.get().load_program("{usage_code.FOLDER}/{FILE}")',
            'model = program.load_method("forward")',
        ]
        call = "model.execute([torch.from_numpy(images)])[0].numpy()"
        imports = ["import torch", "from executorch.runtime import Runtime"]
        return usage_code.lines(imports, opening, preprocessing, call)
