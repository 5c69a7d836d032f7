"""Which of several quantized graphs to ship: the fastest whose answers are the fp32 graph's."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from src.backends.base import ExportSource, Runtime, Unavailable
from src.backends.openvino.runtime import OpenVinoRuntime
from src.quantization.account import HEAD
from src.quantization.evaluation import Judge, speedup_in_turn
from src.quantization.openvino import crash_check
from src.quantization.trials import Judgement, holds
from src.system import machine

if TYPE_CHECKING:
    import openvino

_WITHOUT_AMX = "ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16"
_ROUNDS = 12
_TURN_SECONDS = 0.1
# Of the values of all activations, those that are computed by hard swishes: the rest of them are
# on small maps, where they cost little, and the fewer there are the closer are the answers.
_HARD_SHARES = (1.0, 0.7)
_LEAST = 1.05  # times as fast that what is less exact has to be


@dataclass(frozen=True)
class Recipe:
    """How a graph is quantized, and run."""

    preset: str  # of NNCF's settings
    precision: str = "f32"  # of what is not quantized, "f32" or "bf16"
    hard_share: float = 0.0  # of the values of activations, computed by a hard swish

    def __str__(self) -> str:
        return self.preset + self.additions

    @property
    def additions(self) -> str:
        """What is done beside NNCF's settings."""
        precision = ", bf16 for the rest" if self.precision == "bf16" else ""
        hard = f", {self.hard_share:.0%} of activations hard" if self.hard_share else ""
        return precision + hard


@dataclass(frozen=True)
class Trial:
    """A recipe, what its file does, and whether that keeps the budget."""

    recipe: Recipe
    judgement: Judgement
    holds: bool


@dataclass(frozen=True)
class Chosen:
    """What is shipped."""

    recipe: Recipe
    graph: openvino.Model


def of_no_choice(recipe: Recipe) -> dict[str, Any]:
    """The account of a file that there was nothing to judge by."""
    sentence = (
        f"Made by NNCF's {recipe.preset} recipe, and not judged: there are no images to judge by."
    )
    return {"recipe": str(recipe), "summary": [sentence], "within_budget": None}


def choose(
    reference: openvino.Model,
    quantize: Callable[[Recipe], openvino.Model],
    source: ExportSource,
    recipes: Sequence[Recipe],
    activations: Sequence[str] = (),
) -> tuple[Chosen, dict[str, Any]]:
    """What to ship, and the account of the choice.

    Args:
        reference: the fp32 graph.
        quantize: makes the graph of a recipe.
        source: with judging images.
        recipes: to begin with.
        activations: the kinds of those that a hard swish may stand for.

    Raises:
        Unavailable: OpenVINO can run none of them here.
    """
    if source.judging is None:
        raise LookupError("there is nothing to judge by")
    images, labels = (part.numpy() for part in source.judging)
    judge = Judge(opened(reference, "f32"), images, labels)
    search = _Search(judge, quantize, source, images)
    search.begin(recipes)
    if search.best.holds:
        search.hasten(activations)
    return search.chosen, search.account()


def opened(graph: openvino.Model, precision: str) -> OpenVinoRuntime:
    return OpenVinoRuntime(graph, "cpu", machine.usable_cores(), precision)


class _Search:
    """The trials so far, and the best of them."""

    def __init__(
        self,
        judge: Judge,
        quantize: Callable[[Recipe], openvino.Model],
        source: ExportSource,
        images: NDArray[np.float32],
    ) -> None:
        self.trials: list[Trial] = []
        self._judge, self._quantize = judge, quantize
        self._source, self._images = source, images
        self._left_out: dict[Recipe, str] = {}
        self._gains: list[str] = []

    def begin(self, recipes: Sequence[Recipe]) -> None:
        """Try recipes, each against the others."""
        candidates = [
            (recipe, graph)
            for recipe in recipes
            if self._runs(recipe, graph := self._quantize(recipe))
        ]
        if not candidates:
            raise Unavailable(
                f"OpenVINO cannot run it here: {', '.join(sorted(set(self._left_out.values())))}; "
                f"with {_WITHOUT_AMX} in the environment it may"
            )
        runtimes = {str(recipe): opened(graph, recipe.precision) for recipe, graph in candidates}
        seconds = in_turns(runtimes, self._images[:1])
        for recipe, _ in candidates:
            self._judged(recipe, runtimes[str(recipe)], seconds[str(recipe)])
        self.best = best(self.trials)
        self.chosen = next(Chosen(*each) for each in candidates if each[0] == self.best.recipe)

    def hasten(self, activations: Sequence[str]) -> None:
        """Make what keeps the budget faster."""
        if machine.has_bfloat16():
            recipe = dataclasses.replace(self.best.recipe, precision="bf16")
            gain = self._gain(Chosen(recipe, self.chosen.graph))
            if gain is not None:
                self._gains.append(f"bf16 for what is left in float: {gain:.2f} times as fast.")
        for share in _HARD_SHARES if activations else ():
            recipe = dataclasses.replace(self.best.recipe, hard_share=share)
            gain = self._gain(Chosen(recipe, self._quantize(recipe)))
            if gain is not None:
                self._gains.append(
                    f"{' and '.join(activations)} by a hard swish for {share:.0%} of the values: "
                    f"{gain:.2f} times as fast."
                )
            tried = self.trials[-1]
            if gain is not None or (tried.recipe == recipe and tried.holds):
                break  # with fewer of them it would be no faster

    def account(self) -> dict[str, Any]:
        """What the manifest says."""
        images, made = len(self._images), self.best.recipe
        return {
            "recipe": str(made),
            "judging_images": images,
            "summary": [
                f"Made by NNCF's {made.preset} recipe{made.additions}; the fastest that kept the "
                f"accuracy budget on {images} training images that it was not calibrated on."
                if self.best.holds
                else f"No recipe kept the accuracy budget on {images} training images: NNCF's "
                f"{made.preset} recipe gives the answers that are the closest to the fp32 graph's.",
                *self._gains,
                *(
                    f"NNCF's {recipe.preset} recipe{recipe.additions} was left out: on this "
                    f"machine OpenVINO {crash}."
                    for recipe, crash in self._left_out.items()
                ),
            ],
            "within_budget": self.best.holds,
            "table": {
                "head": HEAD,
                "rows": [
                    ["the fp32 graph", *vars(self._judge.reference).values(), None],
                    *(
                        [str(each.recipe), *vars(each.judgement).values(), each.holds]
                        for each in self.trials
                    ),
                ],
                "chosen": 1 + self.trials.index(self.best),
            },
        }

    def _gain(self, candidate: Chosen) -> float | None:
        """How many times faster it is than the best so far, if that makes it the best."""
        recipe = candidate.recipe
        if not self._runs(recipe, candidate.graph):
            return None
        runtime = opened(candidate.graph, recipe.precision)
        so_far = opened(self.chosen.graph, self.best.recipe.precision)
        gain = speedup_in_turn(runtime, so_far, self._images[:1])
        trial = self._judged(recipe, runtime, self.best.judgement.seconds / gain)
        if not trial.holds or gain < _LEAST:
            return None
        self.best, self.chosen = trial, candidate
        return gain

    def _judged(self, recipe: Recipe, runtime: OpenVinoRuntime, seconds: float) -> Trial:
        judgement = self._judge(runtime, seconds)
        accuracy = self._judge.reference.accuracy
        trial = Trial(recipe, judgement, holds(judgement, accuracy, self._source.max_accuracy_drop))
        self.trials.append(trial)
        return trial

    def _runs(self, recipe: Recipe, graph: openvino.Model) -> bool:
        crash = crash_check.crash(graph, self._images, recipe.precision, self._source.scratch)
        if crash is not None:
            self._left_out[recipe] = crash
        return crash is None


def best(trials: Sequence[Trial]) -> Trial:
    """The fastest of those that keep the budget; where none does, the one that agrees most."""
    keeping = [trial for trial in trials if trial.holds]
    if keeping:
        return min(keeping, key=lambda trial: trial.judgement.seconds)
    return max(trials, key=lambda trial: (trial.judgement.agreement, trial.judgement.accuracy))


def in_turns(runtimes: Mapping[str, Runtime], image: NDArray[np.float32]) -> dict[str, float]:
    """Seconds of a call of each, taken in turn so that the machine's phases hit all alike."""
    rounds: dict[str, list[float]] = {name: [] for name in runtimes}
    for number in range(_ROUNDS):
        for name in list(runtimes)[:: 1 if number % 2 else -1]:
            runtimes[name](image)
            calls: list[float] = []
            while sum(calls) < _TURN_SECONDS:
                started = time.perf_counter()
                runtimes[name](image)
                calls.append(time.perf_counter() - started)
            rounds[name].append(float(np.median(calls)))
    return {name: float(np.median(each)) for name, each in rounds.items()}
