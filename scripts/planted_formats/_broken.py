"""The base of the broken formats: the file of onnx_fp32, in a runtime that fails after a while."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.backends.onnx.runtime import OnnxRuntime
from src.formats.onnx_fp32 import OnnxFp32

CALLS = 30  # that go well: it fails in the midst of timing, or of scoring


class BrokenFormat(OnnxFp32):
    """A format whose runtime calls :meth:`fail` after a while."""

    def fail(self) -> None:
        raise NotImplementedError

    def load(self, folder: Path, device: str, threads: int) -> OnnxRuntime:
        fail = self.fail

        class Broken(OnnxRuntime):
            calls = 0

            def __call__(self, images: Any) -> Any:
                self.calls += 1
                if self.calls > CALLS:
                    fail()
                return super().__call__(images)

        runtime = super().load(folder, device, threads)
        runtime.__class__ = Broken
        return runtime
