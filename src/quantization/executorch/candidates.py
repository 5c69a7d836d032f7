"""The recipes of one network for ExecuTorch, made and evaluated in ExecuTorch's environment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from src.quantization.candidates import SpeedUp
from src.quantization.evaluation import Evaluation
from src.quantization.executorch.recipe import ExecutorchRecipe
from src.quantization.other_environment import RemoteEvaluator
from src.quantization.trials import Trials

PLAIN = ExecutorchRecipe()


class ExecutorchCandidates:
    """Implements :class:`src.quantization.candidates.Candidates` for ExecuTorch.

    Args:
        convert: writes the program of a recipe into a file.
        evaluator: of the selection images.
        order: returns the names of the layers, the most sensitive one first.
        scratch: a folder for the programs.
    """

    def __init__(
        self,
        convert: Callable[[ExecutorchRecipe, Path], None],
        evaluator: RemoteEvaluator,
        order: Callable[[], Sequence[str]],
        scratch: Path,
    ) -> None:
        self._convert, self._evaluator, self._order = convert, evaluator, order
        self._scratch = scratch

    @property
    def reference(self) -> Evaluation:
        """The evaluation of the fp32 program."""
        return self._evaluator.reference

    def accuracy_recipes(
        self, trials: Trials[ExecutorchRecipe, Path]
    ) -> Iterator[Sequence[ExecutorchRecipe]]:
        """Yield the plain recipe."""
        yield [PLAIN]

    def sensitivity_order(self, recipe: ExecutorchRecipe) -> Sequence[str]:
        return self._order()

    def speed_ups(
        self, trials: Trials[ExecutorchRecipe, Path]
    ) -> Iterator[SpeedUp[ExecutorchRecipe]]:
        """Yield nothing: no change is known that makes such a program faster."""
        yield from ()

    def make(self, recipe: ExecutorchRecipe) -> Path:
        digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]
        path = self._scratch / f"{digest}.pte"
        if not path.is_file():
            self._convert(recipe, path)
        return path

    def evaluate(self, model: Path) -> Evaluation:
        return self._evaluator(model)

    def speedup(self, model: Path, other: Path) -> float:
        return self._evaluator.speedup(model, other)
