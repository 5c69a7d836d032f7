"""``onnx_fp16``'s file, run by TensorRT: ONNX Runtime builds an engine for the GPU at each load.

It needs the packages ``onnxruntime-gpu`` and ``tensorrt``; elsewhere its row is skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.backends.onnx import file
from src.backends.onnx.runtime import TENSORRT, OnnxRuntime
from src.formats import onnx_fp16

requires = onnx_fp16.requires
runs_with = onnx_fp16.runs_with
devices = ("cuda",)
precision = "fp16"
tolerance = onnx_fp16.tolerance

export = onnx_fp16.export
embed = onnx_fp16.embed


def load(folder: Path, device: str, threads: int) -> OnnxRuntime:
    return OnnxRuntime(folder / file.FILE, device, threads, TENSORRT)


def usage(preprocessing: dict[str, Any]) -> str:
    return file.usage(preprocessing, TENSORRT)
