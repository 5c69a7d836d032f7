"""A fake runtime: a test decides accuracy and speed of its models, and the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from src.quantization.candidates import SpeedUp
from src.quantization.evaluation import Evaluation
from src.quantization.onnx import proposals
from src.quantization.onnx.proposals import CLIPPING
from src.quantization.onnx.recipe import OnnxRecipe as Recipe
from src.quantization.search import Outcome, search
from src.quantization.trials import Trials

NODES = [f"node {number}" for number in range(20)]
CALIBRATIONS = ["minmax", *CLIPPING]
FP32 = Evaluation(0.9, 1.0, 1e-2)


class Planted:
    """Candidates for ONNX Runtime with fake models, and a fake clock.

    Args:
        agreement: returns the agreement of a recipe's model.
        reference: evaluation of the fp32 model.
        equalisable: passed on to the proposals of recipes.
        speedup: how many times as fast the first of two models is; None if nothing may be faster.
        faster: passed on to the proposals of changes that make a model faster.
        nodes: the most sensitive one first.
        options: of the search.
    """

    def __init__(
        self,
        agreement: Callable[[Recipe], float],
        *,
        reference: Evaluation = FP32,
        equalisable: bool = True,
        speedup: Callable[[Recipe, Recipe], float] | None = None,
        faster: dict[str, Any] | None = None,
        nodes: Sequence[str] = NODES,
        **options: Any,
    ) -> None:
        self.agreement = agreement
        self.reference = reference
        self.equalisable = equalisable
        self.compare = speedup
        self.faster = faster or {}
        self.nodes = list(nodes)
        self.seconds_a_trial = 1.0
        self.now = 100.0
        self.ranked: list[Recipe] = []
        self.options = {"max_drop": 0.01, "seconds": 1e9, **options}

    def accuracy_recipes(self, trials: Trials[Recipe, Recipe]) -> Iterator[Sequence[Recipe]]:
        return proposals.accuracy_recipes(trials, equalisable=self.equalisable)

    def speed_ups(self, trials: Trials[Recipe, Recipe]) -> Iterator[SpeedUp[Recipe]]:
        return iter(()) if self.compare is None else proposals.speed_ups(trials, **self.faster)

    def make(self, recipe: Recipe) -> Recipe:
        self.now += self.seconds_a_trial
        return recipe

    def evaluate(self, model: Recipe) -> Evaluation:
        share = self.agreement(model)
        return Evaluation(0.9 - (1 - share), share, 1e-3 * (1 + len(model.kept_in_float)))

    def speedup(self, model: Recipe, other: Recipe) -> float:
        assert self.compare is not None
        return self.compare(model, other)

    def sensitivity_order(self, recipe: Recipe) -> list[str]:
        self.ranked.append(recipe)
        return self.nodes

    def search(self) -> Outcome[Recipe, Recipe]:
        outcome = search(self, clock=lambda: self.now, **self.options)
        assert outcome.model is outcome.best.recipe
        assert outcome.best in outcome.trials
        return outcome
