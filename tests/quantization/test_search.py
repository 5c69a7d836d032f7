"""The search for accuracy with planted recipes: each branch, and the clock."""

from __future__ import annotations

import pytest

from src.quantization.evaluation import Evaluation
from src.quantization.onnx.proposals import CLIPPING
from src.quantization.onnx.recipe import OnnxRecipe as Recipe
from tests.quantization.planted_search import CALIBRATIONS, NODES, Planted


def test_minmax_within_the_budget_ends_the_search() -> None:
    outcome = Planted(lambda recipe: 0.99).search()
    assert [str(trial.recipe) for trial in outcome.trials] == ["minmax"]
    assert outcome.best.within_budget
    assert not outcome.out_of_time


@pytest.mark.parametrize("wanted", CLIPPING)
def test_calibrations_are_tried_until_one_keeps_the_budget(wanted: str) -> None:
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


@pytest.mark.parametrize("needed", [1, 2, 3, 5, 8, 11, 13, 16, 17, 18, 19])
def test_the_fewest_nodes_that_keep_the_budget_stay_in_float(needed: int) -> None:
    planted = Planted(lambda recipe: 1.0 if len(recipe.kept_in_float) >= needed else 0.7)
    outcome = planted.search()
    assert outcome.best.recipe.kept_in_float == tuple(NODES[:needed])
    counts = [
        len(trial.recipe.kept_in_float) for trial in outcome.trials if trial.recipe.kept_in_float
    ]
    doubling = [1, 2, 4, 8, 16, 19]
    end = next(index for index, count in enumerate(doubling) if count >= needed)
    assert counts[: end + 1] == doubling[: end + 1]
    assert len(counts) == len(set(counts)) <= 9


@pytest.mark.parametrize("count", range(8))
def test_any_number_of_nodes_is_searched_up_to_all_but_one(count: int) -> None:
    for needed in range(1, count + 1):
        planted = Planted(
            lambda recipe, needed=needed: 1.0 if len(recipe.kept_in_float) >= needed else 0.7,
            nodes=NODES[:count],
        )
        outcome = planted.search()
        assert outcome.best.within_budget == (needed < count)
        if needed < count:
            assert outcome.best.recipe.kept_in_float == tuple(NODES[:needed])
        assert all(len(trial.recipe.kept_in_float) < count for trial in outcome.trials)


def test_nodes_are_kept_in_float_in_the_closest_recipe() -> None:
    def agreement(recipe: Recipe) -> float:
        if recipe.kept_in_float:
            return 1.0
        return 0.8 if recipe.bias_corrected and not recipe.equalised else 0.7

    planted = Planted(agreement)
    outcome = planted.search()
    assert planted.ranked == [Recipe("minmax", bias_corrected=True)]
    assert outcome.best.recipe == Recipe("minmax", bias_corrected=True, kept_in_float=(NODES[0],))


def test_the_fastest_recipe_within_the_budget_wins() -> None:
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
def test_a_speed_difference_below_the_timing_error_is_ignored(share: float, expected: int) -> None:
    planted = Planted(lambda recipe: 1.0 if len(recipe.kept_in_float) >= 3 else 0.7)
    planted.evaluate = lambda model: Evaluation(  # type: ignore[method-assign]
        0.9, planted.agreement(model), share if len(model.kept_in_float) == 4 else 1.0
    )
    assert len(planted.search().best.recipe.kept_in_float) == expected


def test_without_a_recipe_within_the_budget_the_closest_is_shipped() -> None:
    planted = Planted(lambda recipe: 0.9 if recipe == Recipe("entropy") else 0.7)
    outcome = planted.search()
    assert not outcome.best.within_budget
    assert not outcome.out_of_time
    assert outcome.best.recipe == Recipe("entropy")
    assert max(len(trial.recipe.kept_in_float) for trial in outcome.trials) == 19 == len(NODES) - 1


@pytest.mark.parametrize(("seconds", "tried"), [(0.5, 1), (1.0, 1), (3.5, 4), (6.5, 7)])
def test_no_recipe_is_tried_after_the_deadline_but_the_first(seconds: float, tried: int) -> None:
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


def test_a_higher_accuracy_does_not_hide_changed_predictions() -> None:
    planted = Planted(lambda recipe: 0.7)
    planted.evaluate = lambda model: Evaluation(0.95, 0.98, 1e-3)  # type: ignore[method-assign]
    assert not planted.search().best.within_budget


def test_a_lower_accuracy_misses_the_budget() -> None:
    planted = Planted(lambda recipe: 0.7, max_drop=0.02)
    planted.evaluate = lambda model: Evaluation(0.85, 0.99, 1e-3)  # type: ignore[method-assign]
    assert not planted.search().best.within_budget


def test_a_drop_equal_to_the_budget_is_within_it() -> None:
    planted = Planted(lambda recipe: 97 / 100, max_drop=0.03)
    assert planted.search().best.within_budget
    assert not Planted(lambda recipe: 96 / 100, max_drop=0.03).search().best.within_budget


def test_a_recipe_is_named_by_its_settings() -> None:
    assert str(Recipe("entropy", bias_corrected=True, equalised=True, kept_in_float=("a",))) == (
        "entropy, bias corrected, equalised, 1 node in float"
    )
    assert str(Recipe(kept_in_float=("a", "b"))) == "minmax, 2 nodes in float"
