"""A runtime that aborts, as one does in native code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from src.formats import onnx_fp32
from src.formats._onnx_session import OnnxRuntime
from src.formats.onnx_fp32 import devices, precision, requires, runs_with, tolerance

__all__ = ["devices", "load", "precision", "requires", "runs_with", "tolerance"]

_CALLS = 30  # that go well: it fails in the midst of timing, or of scoring


class Broken(OnnxRuntime):
    calls = 0

    def __call__(self, images: Any) -> Any:
        self.calls += 1
        if self.calls > _CALLS:
            os.abort()
        return super().__call__(images)


def load(folder: Path, device: str, threads: int) -> OnnxRuntime:
    runtime = onnx_fp32.load(folder, device, threads)
    runtime.__class__ = Broken
    return runtime
