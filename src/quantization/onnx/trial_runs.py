"""int8 models tried out in ONNX Runtime: their answers and their speed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from src.backends.onnx.runtime import OnnxRuntime
from src.quantization.evaluation import Judge, speedup_in_turn
from src.quantization.trials import Judgement
from src.system import machine

if TYPE_CHECKING:
    import onnx


class Trial:
    """Tries models, each by a file that lasts as long as its session.

    Args:
        reference: the fp32 file.
        images: to judge by, (n, 3, H, W); the first of them is what calls are timed with.
        labels: (n,).
        scratch: a folder.
    """

    def __init__(
        self,
        reference: Path,
        images: NDArray[np.float32],
        labels: NDArray[np.int64],
        scratch: Path,
    ) -> None:
        self._judge = Judge(_opened(reference), images, labels)
        self._image = images[:1]
        self._file = scratch / "tried.onnx"

    @property
    def reference(self) -> Judgement:
        """What the fp32 file does."""
        return self._judge.reference

    def judgement(self, model: onnx.ModelProto) -> Judgement:
        """What a model does with the images."""
        return self._judge(self._open(model))

    def speedup(self, model: onnx.ModelProto, other: onnx.ModelProto) -> float:
        """How many times faster a model is than another, timed in turn."""
        return speedup_in_turn(self._open(model), self._open(other), self._image)

    def _open(self, model: onnx.ModelProto) -> OnnxRuntime:
        import onnx

        onnx.save_model(model, self._file)
        return _opened(self._file)


def _opened(file: Path) -> OnnxRuntime:
    return OnnxRuntime(file, "cpu", machine.usable_cores())
