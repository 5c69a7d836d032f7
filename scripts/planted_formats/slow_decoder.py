"""The file of onnx_fp32 behind a decoder that takes 5 % of the whole pipeline longer."""

from __future__ import annotations

import statistics
import time
from collections import deque
from pathlib import Path
from typing import Any

from src.backends.onnx.runtime import OnnxRuntime
from src.formats.onnx_fp32 import OnnxFp32
from src.shipped import predict_images

SHARE = 0.05
CALLS = 4  # that a whole is the median of: the files of a turn differ in size


class SlowDecoder:
    """The decoder of this process with a wait behind it.

    The file's runtime ends each call, so that the whole is known but for the labelling.
    """

    def __init__(self) -> None:
        self._decode = predict_images.read_image
        self._wholes: deque[float] = deque(maxlen=CALLS)
        self._began: float | None = None

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        image = self._decode(*arguments, **named)
        decoded = time.perf_counter()
        wait = SHARE * statistics.median(self._wholes) if self._wholes else 0.0
        while time.perf_counter() < decoded + wait:
            pass
        self._began = began + wait  # the wait is no part of the whole that it is a share of
        return image

    def end(self) -> None:
        """Note the end of a call, unless it did not begin with an image file."""
        if self._began is not None:
            self._wholes.append(time.perf_counter() - self._began)
            self._began = None


class Runtime(OnnxRuntime):
    decoder: SlowDecoder

    def __call__(self, images: Any) -> Any:
        logits = super().__call__(images)
        self.decoder.end()
        return logits


class SlowDecoding(OnnxFp32):
    def load(self, folder: Path, device: str, threads: int) -> OnnxRuntime:
        runtime = super().load(folder, device, threads)
        runtime.__class__ = Runtime
        runtime.decoder = SlowDecoder()  # type: ignore[attr-defined]
        predict_images.read_image = runtime.decoder  # type: ignore[attr-defined]
        return runtime
