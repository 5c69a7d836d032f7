"""What a quantized file does with the judging images, against the fp32 file."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from src.formats._int8_search import Judgement
from src.formats._onnx_session import OnnxRuntime

if TYPE_CHECKING:
    import onnx

_BATCH = 32
_WARM_UP_CALLS = 3
_TIMED_SECONDS = 0.3


class Judge:
    """Judges by training images, which the network knows: what counts is who answers otherwise.

    The speed is the median of a batch of one for a fraction of a second, in this process: good
    enough to see what nodes in float cost, and no more.

    Args:
        float_file: the file that agreement is with.
        images: (n, 3, H, W).
        labels: (n,).
        threads: of the runtime.
        scratch: a folder for the files that are judged.
    """

    def __init__(
        self,
        float_file: Path,
        images: NDArray[np.float32],
        labels: NDArray[np.int64],
        threads: int,
        scratch: Path,
    ) -> None:
        self._images, self._labels = images, labels
        self._threads = threads
        self._file = scratch / "judged.onnx"
        runtime = OnnxRuntime(float_file, "cpu", threads)
        self._expected = self._answers(runtime)
        self.reference = self._judgement(self._expected, runtime)

    def __call__(self, model: onnx.ModelProto) -> Judgement:
        import onnx

        onnx.save_model(model, self._file)
        runtime = OnnxRuntime(self._file, "cpu", self._threads)
        return self._judgement(self._answers(runtime), runtime)

    def _answers(self, runtime: OnnxRuntime) -> NDArray[np.int64]:
        """The top-1 of each image, (n,)."""
        starts = range(0, len(self._images), _BATCH)
        parts = [runtime(self._images[start : start + _BATCH]).argmax(axis=1) for start in starts]
        return np.concatenate(parts)

    def _judgement(self, answers: NDArray[np.int64], runtime: OnnxRuntime) -> Judgement:
        return Judgement(
            accuracy=float((answers == self._labels).mean()),
            agreement=float((answers == self._expected).mean()),
            seconds=_seconds_of_a_call(runtime, self._images[:1]),
        )


def _seconds_of_a_call(runtime: OnnxRuntime, image: NDArray[np.float32]) -> float:
    for _ in range(_WARM_UP_CALLS):
        runtime(image)
    seconds: list[float] = []
    while sum(seconds) < _TIMED_SECONDS:
        started = time.perf_counter()
        runtime(image)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)
