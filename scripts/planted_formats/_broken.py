"""What the broken formats share: the file of onnx_fp32, in a runtime that fails after a while."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from src.backends.onnx.runtime import OnnxRuntime
from src.formats import onnx_fp32

CALLS = 30  # that go well: it fails in the midst of timing, or of scoring


def loader(fail: Callable[[], None]) -> Callable[[Path, str, int], OnnxRuntime]:
    """A format's ``load`` whose runtime calls ``fail`` after a while."""

    class Broken(OnnxRuntime):
        calls = 0

        def __call__(self, images: Any) -> Any:
            self.calls += 1
            if self.calls > CALLS:
                fail()
            return super().__call__(images)

    def load(folder: Path, device: str, threads: int) -> OnnxRuntime:
        runtime = onnx_fp32.load(folder, device, threads)
        runtime.__class__ = Broken
        return runtime

    return load
