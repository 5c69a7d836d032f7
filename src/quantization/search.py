"""Search for the fastest int8 recipe within an accuracy budget, for any runtime.

1. Recipes with all layers in int8, in groups, until one keeps the budget.
2. If none does: the most sensitive layers in float, 1, 2, 4, ... of them, up to all but one. If a
   number keeps the budget, bisection finds the smallest one that does. Each layer in float costs
   time.
3. If a recipe keeps the budget: changes that may make it faster. Each is taken if the model keeps
   the budget as well and is faster, timed in turn with the best one.

A runtime provides the recipes and changes: see :class:`src.quantization.candidates.Candidates`.
NNCF's accuracy control reverts layers to float as well. It orders them by how much the output
improves if a single one is reverted, which takes one model and its inference per layer. Here layers
are ordered by their own quantization error, which takes one pass.
https://docs.openvino.ai/2026/openvino-workflow/model-optimization-guide/quantizing-models-post-training/quantizing-with-accuracy-control.html
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic

from src.quantization.candidates import Alternatives, Candidates, ModelT, Positions, RecipeT
from src.quantization.evaluation import Evaluation
from src.quantization.trials import Gain, OutOfTimeError, Trial, Trials
from src.system.ranges import Range

SearchSeconds = Annotated[
    float, Range("seconds, or 0 for no search", "leave it out for its default", least=0)
]
"""Time limit for a search, as an option of a format."""


@dataclass(frozen=True)
class Outcome(Generic[RecipeT, ModelT]):
    """The result of a search."""

    reference: Evaluation  # of the fp32 model
    trials: Sequence[Trial[RecipeT]]
    best: Trial[RecipeT]
    model: ModelT  # of the best trial
    gains: Sequence[Gain[RecipeT]]  # the changes that were taken, in order
    cannot_run: Mapping[RecipeT, str]  # the recipes that cannot run here, and the reason
    out_of_time: bool  # the deadline ended the search


def search(
    candidates: Candidates[RecipeT, ModelT],
    *,
    max_drop: float,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome[RecipeT, ModelT]:
    """Try recipes until all proposed ones were tried or the time is up, and return the best.

    A recipe is within the budget if at most ``max_drop`` of the selection images get another
    top-1 class than from the fp32 model, and the top-1 accuracy falls by no more.

    Args:
        candidates: the recipes of one runtime.
        max_drop: the budget, a share of 1.
        seconds: after this time no further recipe is tried; the first recipe always is.
        clock: returns seconds.
    """
    trials = Trials(candidates, max_drop, seconds, clock)
    out_of_time = False
    try:
        restore_accuracy(trials, candidates)
        if trials.within_budget:
            speed_up(trials, candidates)
    except OutOfTimeError:
        out_of_time = True
    best = trials.best
    return Outcome(
        trials.reference,
        trials.tried,
        best.trial,
        best.model,
        trials.gains,
        trials.cannot_run,
        out_of_time,
    )


def restore_accuracy(
    trials: Trials[RecipeT, ModelT], candidates: Candidates[RecipeT, ModelT]
) -> None:
    """Try recipes until one keeps the budget: first all layers in int8, then some in float."""
    for group in candidates.accuracy_recipes(trials):
        for recipe in group:
            if trials.within_budget:
                _take_if_faster(trials, recipe, 1.0)
            else:
                trials.try_recipe(recipe)
        if trials.within_budget:
            return
    _keep_layers_in_float(trials, candidates)


def _keep_layers_in_float(
    trials: Trials[RecipeT, ModelT], candidates: Candidates[RecipeT, ModelT]
) -> None:
    """Keep the fewest of the most sensitive layers in float with which the budget is kept."""
    base = trials.best.trial.recipe  # none keeps the budget yet: the closest one
    trials.require_time()
    layers = tuple(candidates.sensitivity_order(base))

    def within_budget(count: int) -> bool:
        return trials.try_recipe(dataclasses.replace(base, kept_in_float=layers[:count]))

    most = len(layers) - 1  # with all layers in float it would be no int8 model
    too_few, enough = 0, min(1, most)
    while enough > too_few and not within_budget(enough):
        too_few, enough = enough, min(2 * enough, most)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if within_budget(middle):
            enough = middle
        else:
            too_few = middle


def speed_up(trials: Trials[RecipeT, ModelT], candidates: Candidates[RecipeT, ModelT]) -> None:
    """Try the changes that may make the best model faster, one after the other."""
    for change in candidates.speed_ups(trials):
        before = trials.best.trial
        try:
            if isinstance(change, Positions):
                _take_fastest_position(trials, change)
            else:
                _take_fastest_alternative(trials, change)
        finally:  # also if the time is up
            after = trials.best.trial
            if after is not before:
                factor = before.evaluation.seconds / after.evaluation.seconds
                trials.gains.append(Gain(after.recipe, factor))


def _take_fastest_alternative(
    trials: Trials[RecipeT, ModelT], change: Alternatives[RecipeT]
) -> None:
    for recipe in change.recipes:
        if _take_if_faster(trials, recipe, change.least_gain):
            return  # a weaker change would gain less


def _take_if_faster(trials: Trials[RecipeT, ModelT], recipe: RecipeT, least_gain: float) -> bool:
    """Take a recipe if it is faster; return True if it runs and keeps the budget."""
    faster = trials.try_faster(recipe, trials.best)
    if faster is not None and faster.gain > least_gain:
        trials.take(faster)
    return faster is not None


def _take_fastest_position(trials: Trials[RecipeT, ModelT], change: Positions[RecipeT]) -> None:
    """Find the position of the highest speed by hill climbing with strides that halve.

    The first stride is a quarter of the positions. It is repeated while the speed rises. Then
    half of it is tried on both sides of the best position, and so on.
    """
    base = trials.best
    gains: dict[int, float] = {0: change.least_gain}  # by position from 1; 0 is no boundary

    def improves(candidate: int, current: int) -> bool:
        if candidate in gains or not 0 < candidate <= len(change.recipes):
            return False
        faster = trials.try_faster(change.recipes[candidate - 1], base)
        gains[candidate] = 0.0 if faster is None else faster.gain
        if faster is None or gains[candidate] <= gains[current]:
            return False
        trials.take(faster)
        return True

    position, stride = 0, max(1, len(change.recipes) // 4)
    while stride:
        neighbours = (position + stride, position - stride)
        better = next((other for other in neighbours if improves(other, position)), None)
        if better is None:
            stride //= 2
        else:
            position = better
