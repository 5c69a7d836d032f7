"""The file of onnx_fp32 in a runtime that takes 5 % longer: every comparison must find it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from src.backends.onnx.runtime import OnnxRuntime
from src.formats import onnx_fp32
from src.formats.onnx_fp32 import devices, precision, requires, runs_with, tolerance

__all__ = ["devices", "load", "precision", "requires", "runs_with", "tolerance"]


class Slower(OnnxRuntime):
    def __call__(self, images: Any) -> Any:
        started = time.perf_counter()
        logits = super().__call__(images)
        end = time.perf_counter() + 0.05 * (time.perf_counter() - started)
        while time.perf_counter() < end:
            pass
        return logits


def load(folder: Path, device: str, threads: int) -> OnnxRuntime:
    runtime = onnx_fp32.load(folder, device, threads)
    runtime.__class__ = Slower
    return runtime
