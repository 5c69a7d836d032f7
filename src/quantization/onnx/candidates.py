"""The recipes of one network for ONNX Runtime, made and evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from src.backends.base import ExportSource
from src.backends.onnx.runtime import OnnxRuntime
from src.quantization.candidates import SpeedUp
from src.quantization.evaluation import Evaluation, Evaluator
from src.quantization.onnx import gemm_convolutions, proposals
from src.quantization.onnx.quantizer import Quantizer
from src.quantization.onnx.recipe import OnnxRecipe
from src.quantization.target import Choice
from src.quantization.trials import Trials
from src.run.file_input import Batch
from src.system import machine

if TYPE_CHECKING:
    import onnx


class OnnxCandidates:
    """Implements :class:`src.quantization.candidates.Candidates` for ONNX Runtime.

    Args:
        quantizer: makes the models.
        source: the network, whose fp32 file is the reference.
        choice: the processor that the file is for.
        images: selection images, (n, 3, H, W).
        labels: (n,).
    """

    def __init__(
        self,
        quantizer: Quantizer,
        source: ExportSource,
        choice: Choice,
        images: Batch,
        labels: NDArray[np.int64],
    ) -> None:
        self._quantizer = quantizer
        self._choice = choice
        self._evaluator = Evaluator(_opened(source.fp32_graph.path), images, labels)
        self._file = source.scratch / "candidate.onnx"  # replaced by each model

    @property
    def reference(self) -> Evaluation:
        """The evaluation of the fp32 file."""
        return self._evaluator.reference

    def accuracy_recipes(
        self, trials: Trials[OnnxRecipe, onnx.ModelProto]
    ) -> Iterator[Sequence[OnnxRecipe]]:
        return proposals.accuracy_recipes(trials, equalisable=self._quantizer.equalisable)

    def sensitivity_order(self, recipe: OnnxRecipe) -> list[str]:
        return self._quantizer.sensitivity_order(recipe)

    def speed_ups(
        self, trials: Trials[OnnxRecipe, onnx.ModelProto]
    ) -> Iterator[SpeedUp[OnnxRecipe]]:
        here = self._choice.is_here  # what is fast here may be slow on another processor
        return proposals.speed_ups(
            trials,
            has_gelu=self._quantizer.has_gelu,
            cut_points=self._quantizer.cut_points if here else (),
            gemm_convolutions=gemm_convolutions.suited if here and machine.has_amx() else None,
        )

    def make(self, recipe: OnnxRecipe) -> onnx.ModelProto:
        return self._quantizer.quantize(recipe)

    def evaluate(self, model: onnx.ModelProto) -> Evaluation:
        return self._evaluator(self._open(model))

    def speedup(self, model: onnx.ModelProto, other: onnx.ModelProto) -> float:
        return self._evaluator.speedup(self._open(model), self._open(other))

    def _open(self, model: onnx.ModelProto) -> OnnxRuntime:
        import onnx

        onnx.save_model(model, self._file)
        return _opened(self._file)


def _opened(file: Path) -> OnnxRuntime:
    return OnnxRuntime(file, "cpu", machine.usable_cores())
