"""ONNX in fp32: one file, dynamic batch, weights inside."""

from __future__ import annotations

from pathlib import Path

from src.formats import _onnx, _onnx_embedding
from src.formats.base import ExportSource

requires = ("onnx", "onnxscript", "onnxruntime")
runs_with = ("onnxruntime",)
devices = ("cpu", "cuda")
precision = "fp32"
tolerance = 5e-3  # other kernels, BatchNorm folded

load = _onnx.load
usage = _onnx.usage
embed = _onnx_embedding.embed


def export(source: ExportSource, folder: Path) -> None:
    import onnx

    _onnx.write(onnx.load(_onnx.fp32_file(source)), source, folder)
