"""The file of onnx_fp32 in a runtime that takes 5 % longer: every comparison must find it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from src.backends.onnx.runtime import OnnxRuntime
from src.formats.onnx_fp32 import OnnxFp32


class SlowerRuntime(OnnxRuntime):
    def __call__(self, images: Any) -> Any:
        started = time.perf_counter()
        logits = super().__call__(images)
        end = time.perf_counter() + 0.05 * (time.perf_counter() - started)
        while time.perf_counter() < end:
            pass
        return logits


class Slower(OnnxFp32):
    def load(self, folder: Path, device: str, threads: int) -> OnnxRuntime:
        runtime = super().load(folder, device, threads)
        runtime.__class__ = SlowerRuntime
        return runtime
