"""The search with planted recipes: each branch, and the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

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
    """The recipes for ONNX Runtime with models that answer as ``agreement`` says, and a clock.

    Args:
        agreement: of the model of a recipe.
        reference: of the fp32 model.
        equalisable: passed on to the proposals of recipes.
        speedup: how many times as fast the first of two models is; None if nothing may be faster.
        faster: passed on to the proposals of changes that make a model faster.
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
        **options: Any,
    ) -> None:
        self.agreement = agreement
        self.reference = reference
        self.equalisable = equalisable
        self.compare = speedup
        self.faster = faster or {}
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
        return NODES

    def search(self) -> Outcome[Recipe, Recipe]:
        outcome = search(self, clock=lambda: self.now, **self.options)
        assert outcome.model is outcome.best.recipe
        assert outcome.best in outcome.trials
        return outcome


def test_extremes_that_hold_end_the_search() -> None:
    outcome = Planted(lambda recipe: 0.99).search()
    assert [str(trial.recipe) for trial in outcome.trials] == ["minmax"]
    assert outcome.best.within_budget
    assert not outcome.out_of_time


@pytest.mark.parametrize("wanted", CLIPPING)
def test_calibrations_are_tried_until_one_holds(wanted: str) -> None:
    outcome = Planted(lambda recipe: 1.0 if recipe.calibration == wanted else 0.5).search()
    tried = [trial.recipe.calibration for trial in outcome.trials]
    assert tried == CALIBRATIONS[: CALIBRATIONS.index(wanted) + 1]
    assert outcome.best.recipe == Recipe(wanted)  # type: ignore[arg-type]


def test_the_closest_calibration_gets_its_biases_corrected() -> None:
    def agreement(recipe: Recipe) -> float:
        if recipe.bias_corrected:
            return 1.0
        return 0.8 if recipe.calibration == "percentile 99.99" else 0.7

    outcome = Planted(agreement).search()
    assert len(outcome.trials) == len(CALIBRATIONS) + 1
    assert outcome.best.recipe == Recipe("percentile 99.99", bias_corrected=True)


@pytest.mark.parametrize("equalisable", [True, False])
def test_equalising_is_tried_only_where_there_is_something_to_equalise(equalisable: bool) -> None:
    planted = Planted(lambda recipe: 1.0 if recipe.equalised else 0.7, equalisable=equalisable)
    outcome = planted.search()
    expected = Recipe("minmax", bias_corrected=True, equalised=True)
    assert (outcome.best.recipe == expected) is equalisable
    assert any(trial.recipe.equalised for trial in outcome.trials) is equalisable
    assert (planted.ranked == []) is equalisable


@pytest.mark.parametrize("needed", [1, 2, 3, 5, 8, 11, 13, 16])
def test_as_few_nodes_as_hold_stay_in_float(needed: int) -> None:
    planted = Planted(lambda recipe: 1.0 if len(recipe.kept_in_float) >= needed else 0.7)
    outcome = planted.search()
    assert outcome.best.recipe.kept_in_float == tuple(NODES[:needed])
    counts = [
        len(trial.recipe.kept_in_float) for trial in outcome.trials if trial.recipe.kept_in_float
    ]
    doubling = [1, 2, 4, 8, 16]
    end = next(index for index, count in enumerate(doubling) if count >= needed)
    assert counts[: end + 1] == doubling[: end + 1]
    assert len(counts) == len(set(counts)) <= 9


def test_the_nodes_are_those_of_the_closest_recipe() -> None:
    def agreement(recipe: Recipe) -> float:
        if recipe.kept_in_float:
            return 1.0
        return 0.8 if recipe.bias_corrected and not recipe.equalised else 0.7

    planted = Planted(agreement)
    outcome = planted.search()
    assert planted.ranked == [Recipe("minmax", bias_corrected=True)]
    assert outcome.best.recipe == Recipe("minmax", bias_corrected=True, kept_in_float=(NODES[0],))


def test_of_those_that_hold_the_fastest_wins() -> None:
    planted = Planted(lambda recipe: 1.0 if len(recipe.kept_in_float) >= 3 else 0.7)

    def evaluate(model: Recipe) -> Evaluation:
        honest = Planted.evaluate(planted, model)
        seconds = 1e-4 if len(model.kept_in_float) == 4 else honest.seconds
        return Evaluation(honest.accuracy, honest.agreement, seconds)

    planted.evaluate = evaluate  # type: ignore[method-assign]
    outcome = planted.search()
    assert {len(trial.recipe.kept_in_float) for trial in outcome.trials if trial.within_budget} == {
        3,
        4,
    }
    assert len(outcome.best.recipe.kept_in_float) == 4


@pytest.mark.parametrize(("share", "expected"), [(0.95, 3), (0.85, 4)])
def test_a_lead_that_rough_timing_cannot_tell_is_none(share: float, expected: int) -> None:
    planted = Planted(lambda recipe: 1.0 if len(recipe.kept_in_float) >= 3 else 0.7)
    planted.evaluate = lambda model: Evaluation(  # type: ignore[method-assign]
        0.9, planted.agreement(model), share if len(model.kept_in_float) == 4 else 1.0
    )
    assert len(planted.search().best.recipe.kept_in_float) == expected


def test_when_none_holds_the_closest_is_shipped_and_never_all_is_in_float() -> None:
    planted = Planted(lambda recipe: 0.9 if recipe == Recipe("entropy") else 0.7)
    outcome = planted.search()
    assert not outcome.best.within_budget
    assert not outcome.out_of_time
    assert outcome.best.recipe == Recipe("entropy")
    assert max(len(trial.recipe.kept_in_float) for trial in outcome.trials) == 16 < len(NODES)


@pytest.mark.parametrize(("seconds", "tried"), [(0.5, 1), (1.0, 1), (3.5, 4), (6.5, 7)])
def test_nothing_is_begun_when_the_time_is_up(seconds: float, tried: int) -> None:
    planted = Planted(lambda recipe: 0.7, seconds=seconds)
    outcome = planted.search()
    assert len(outcome.trials) == tried
    assert outcome.out_of_time
    assert not planted.ranked


def test_the_best_so_far_is_shipped_when_the_time_is_up() -> None:
    # The sixteenth holds; eight and twelve are still to be looked at when time is up.
    planted = Planted(lambda recipe: 1.0 if len(recipe.kept_in_float) >= 9 else 0.7, seconds=11.5)
    outcome = planted.search()
    assert outcome.out_of_time
    assert outcome.best.within_budget
    assert len(outcome.best.recipe.kept_in_float) == 16


def test_a_flattered_accuracy_does_not_hide_answers_that_change() -> None:
    planted = Planted(lambda recipe: 0.7)
    planted.evaluate = lambda model: Evaluation(0.95, 0.98, 1e-3)  # type: ignore[method-assign]
    assert not planted.search().best.within_budget


def test_a_lost_accuracy_does_not_hold_either() -> None:
    planted = Planted(lambda recipe: 0.7, max_drop=0.02)
    planted.evaluate = lambda model: Evaluation(0.85, 0.99, 1e-3)  # type: ignore[method-assign]
    assert not planted.search().best.within_budget


def test_the_budget_itself_is_within_it() -> None:
    planted = Planted(lambda recipe: 97 / 100, max_drop=0.03)
    assert planted.search().best.within_budget
    assert not Planted(lambda recipe: 96 / 100, max_drop=0.03).search().best.within_budget


def test_a_recipe_says_what_it_is() -> None:
    assert str(Recipe("entropy", bias_corrected=True, equalised=True, kept_in_float=("a",))) == (
        "entropy, bias corrected, equalised, 1 node in float"
    )
    assert str(Recipe(kept_in_float=("a", "b"))) == "minmax, 2 nodes in float"


@pytest.mark.parametrize("approximation_is_faster", [True, False])
def test_a_gelu_by_a_sigmoid_is_taken_where_it_is_faster(approximation_is_faster: bool) -> None:
    compared = []

    def speedup(model: Recipe, other: Recipe) -> float:
        compared.append((model, other))
        return 1.1 if approximation_is_faster else 0.9

    outcome = Planted(lambda recipe: 1.0, speedup=speedup, faster={"has_gelu": True}).search()
    assert [str(trial.recipe) for trial in outcome.trials] == [
        "minmax",
        "minmax, GELU by a sigmoid",
    ]
    assert compared == [(Recipe(sigmoid_gelu=True), Recipe())]
    assert outcome.best.recipe.sigmoid_gelu is approximation_is_faster


def test_no_gelu_is_approximated_at_the_cost_of_the_budget() -> None:
    def agreement(recipe: Recipe) -> float:
        return 0.5 if recipe.sigmoid_gelu else 1.0

    faster: dict[str, Any] = {"speedup": lambda *_: 2.0, "faster": {"has_gelu": True}}
    assert Planted(agreement, **faster).search().best.recipe == Recipe()
    outcome = Planted(lambda recipe: 0.5, **faster).search()
    assert not any(trial.recipe.sigmoid_gelu for trial in outcome.trials)


CUTS = [f"cut {number}" for number in range(16)]
SLOW = Evaluation(0.9, 1.0, 1.2e-3)  # of the fp32 file: int8 is only 1.2 times as fast


def by_prefix(peak: int, at_peak: float = 1.3) -> dict[str, Any]:
    """The speed rises to ``at_peak`` with ``peak`` cuts in float, and falls from there."""

    def speedup(model: Recipe, other: Recipe) -> float:
        assert other == Recipe()
        count = CUTS.index(model.float_prefix) + 1
        return at_peak - 0.03 * abs(count - peak)

    return {"speedup": speedup, "faster": {"cut_points": CUTS}}


@pytest.mark.parametrize("peak", range(1, 17))
def test_the_beginning_that_is_the_fastest_in_float_is_found(peak: int) -> None:
    outcome = Planted(lambda recipe: 1.0, reference=SLOW, **by_prefix(peak, 2.0)).search()
    assert outcome.best.recipe == Recipe(float_prefix=CUTS[peak - 1])
    assert str(outcome.best.recipe) == f"minmax, in float up to {CUTS[peak - 1]}"
    tried = [trial.recipe for trial in outcome.trials]
    assert len(tried) == len(set(tried)) <= 10


def test_a_beginning_that_is_hardly_faster_stays_in_int8() -> None:
    faster = by_prefix(4, 1.019)
    outcome = Planted(lambda recipe: 1.0, reference=SLOW, **faster).search()
    assert outcome.best.recipe == Recipe()


def test_where_int8_gains_much_no_beginning_is_tried() -> None:
    reference = Evaluation(0.9, 1.0, 1.5e-3)
    outcome = Planted(lambda recipe: 1.0, reference=reference, **by_prefix(4)).search()
    assert len(outcome.trials) == 1


def test_a_beginning_in_float_keeps_the_budget() -> None:
    def agreement(recipe: Recipe) -> float:
        return 0.5 if recipe.float_prefix in CUTS[3:] else 1.0

    outcome = Planted(agreement, reference=SLOW, **by_prefix(5)).search()
    assert outcome.best.recipe == Recipe(float_prefix=CUTS[2])


def test_the_fastest_beginning_so_far_is_shipped_when_the_time_is_up() -> None:
    planted = Planted(lambda recipe: 1.0, reference=SLOW, **by_prefix(8), seconds=2.5)
    outcome = planted.search()
    assert outcome.out_of_time
    assert outcome.best.recipe == Recipe(float_prefix=CUTS[7])


@pytest.mark.parametrize(("gain", "taken"), [(1.2, True), (0.99, False)])
def test_convolutions_go_to_the_other_kernel_where_that_is_faster(gain: float, taken: bool) -> None:
    asked = []

    def suited(model: Recipe) -> list[str]:
        asked.append(model)
        return NODES[:3]

    faster = {"gemm_convolutions": suited}
    outcome = Planted(lambda recipe: 1.0, speedup=lambda *_: gain, faster=faster).search()
    assert asked == [Recipe()]
    assert str(outcome.trials[1].recipe) == "minmax, 3 by im2col and GEMM"
    assert bool(outcome.best.recipe.gemm_convolutions) is taken


def test_where_no_convolution_gains_no_other_file_is_made() -> None:
    faster = {"gemm_convolutions": lambda _: []}
    planted = Planted(lambda recipe: 1.0, speedup=lambda *_: 2.0, faster=faster)
    assert len(planted.search().trials) == 1


def test_im2col_and_gemm_are_for_what_a_beginning_in_float_leaves_in_int8() -> None:
    asked = []

    def suited(model: Recipe) -> list[str]:
        asked.append(model)
        return NODES[:3]

    def speedup(model: Recipe, other: Recipe) -> float:
        return 1.3 if model.gemm_convolutions else by_prefix(4)["speedup"](model, other)

    faster: dict[str, Any] = {
        "speedup": speedup,
        "faster": {"gemm_convolutions": suited, "cut_points": CUTS},
    }
    outcome = Planted(lambda recipe: 1.0, reference=SLOW, **faster).search()
    assert asked == [Recipe(float_prefix=CUTS[3])]
    assert outcome.best.recipe == Recipe(float_prefix=CUTS[3], gemm_convolutions=tuple(NODES[:3]))
