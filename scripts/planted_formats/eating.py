"""A runtime that eats memory until it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

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
            hoard = []
            while True:
                hoard.append(np.ones(10_000_000))
        return super().__call__(images)


def load(folder: Path, device: str, threads: int) -> OnnxRuntime:
    runtime = onnx_fp32.load(folder, device, threads)
    runtime.__class__ = Broken
    return runtime
