"""ONNX in fp32: one file, dynamic batch, weights inside."""

from __future__ import annotations

from pathlib import Path

from src.backends.base import ExportSource
from src.backends.onnx import embedding, file

requires = ("onnx", "onnxscript", "onnxruntime")
runs_with = ("onnxruntime",)
devices = ("cpu", "cuda")
precision = "fp32"
tolerance = 5e-3  # other kernels, BatchNorm folded

load = file.load
usage = file.usage
embed = embedding.embed


def export(source: ExportSource, folder: Path) -> None:
    import onnx

    file.write(onnx.load(file.fp32_file(source)), source, folder)
