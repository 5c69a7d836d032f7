"""ONNX in fp32 of the int8 twin: its weights after all training, without the rounding."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from src.backends.base import ExportSource
from src.backends.onnx import file, twin
from src.formats.onnx_fp32 import OnnxFp32
from src.run.facts import ExportDetails


class OnnxFp32Twin(OnnxFp32):
    """The float graph that ``src.twin`` trained. It is another network than the trained one."""

    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    tolerance: ClassVar[float | None] = None
    takes_pixels = False
    of_twin = True

    def export(self, source: ExportSource, folder: Path) -> ExportDetails:
        graph = twin.required(source)
        twin.require_faster_in_float(graph)
        file.write(twin.loaded(graph.path), source, folder)
        return twin.details(graph, in_float=True)
