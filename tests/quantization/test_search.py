"""The climb with planted recipes: each branch, and the clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from src.quantization.recipe import Recipe
from src.quantization.search import CLIPPING, Faster, Found, search
from src.quantization.trials import Judgement

NODES = [f"node {number}" for number in range(20)]
CALIBRATIONS = ["minmax", *CLIPPING]


class Planted:
    """A network that answers as ``agreement`` of a recipe says, and a clock of its own."""

    def __init__(self, agreement: Callable[[Recipe], float], **options: Any) -> None:
        self.agreement = agreement
        self.seconds_a_rung = 1.0
        self.now = 100.0
        self.ranked: list[Recipe] = []
        self.options = {
            "reference": Judgement(0.9, 1.0, 1e-2),
            "max_drop": 0.01,
            "seconds": 1e9,
            **options,
        }

    def build(self, recipe: Recipe) -> Recipe:
        self.now += self.seconds_a_rung
        return recipe

    def judge(self, model: Recipe) -> Judgement:
        share = self.agreement(model)
        return Judgement(0.9 - (1 - share), share, 1e-3 * (1 + len(model.kept_in_float)))

    def rank(self, recipe: Recipe) -> list[str]:
        self.ranked.append(recipe)
        return NODES

    def search(self) -> Found[Recipe]:
        found = search(self.build, self.judge, self.rank, clock=lambda: self.now, **self.options)
        assert found.model is found.winner.recipe
        assert found.winner in found.rungs
        return found


def test_extremes_that_hold_end_the_search() -> None:
    found = Planted(lambda recipe: 0.99).search()
    assert [str(rung.recipe) for rung in found.rungs] == ["minmax"]
    assert found.winner.holds
    assert not found.out_of_time


@pytest.mark.parametrize("wanted", CLIPPING)
def test_calibrations_are_tried_until_one_holds(wanted: str) -> None:
    found = Planted(lambda recipe: 1.0 if recipe.calibration == wanted else 0.5).search()
    tried = [rung.recipe.calibration for rung in found.rungs]
    assert tried == CALIBRATIONS[: CALIBRATIONS.index(wanted) + 1]
    assert found.winner.recipe == Recipe(wanted)  # type: ignore[arg-type]


def test_the_closest_calibration_gets_its_biases_corrected() -> None:
    def agreement(recipe: Recipe) -> float:
        if recipe.bias_corrected:
            return 1.0
        return 0.8 if recipe.calibration == "percentile 99.99" else 0.7

    found = Planted(agreement).search()
    assert len(found.rungs) == len(CALIBRATIONS) + 1
    assert found.winner.recipe == Recipe("percentile 99.99", bias_corrected=True)


@pytest.mark.parametrize("equalisable", [True, False])
def test_equalising_is_tried_only_where_there_is_something_to_equalise(equalisable: bool) -> None:
    planted = Planted(lambda recipe: 1.0 if recipe.equalised else 0.7, equalisable=equalisable)
    found = planted.search()
    expected = Recipe("minmax", bias_corrected=True, equalised=True)
    assert (found.winner.recipe == expected) is equalisable
    assert any(rung.recipe.equalised for rung in found.rungs) is equalisable
    assert (planted.ranked == []) is equalisable


@pytest.mark.parametrize("needed", [1, 2, 3, 5, 8, 11, 13, 16])
def test_as_few_nodes_as_hold_stay_in_float(needed: int) -> None:
    planted = Planted(lambda recipe: 1.0 if len(recipe.kept_in_float) >= needed else 0.7)
    found = planted.search()
    assert found.winner.recipe.kept_in_float == tuple(NODES[:needed])
    counts = [len(rung.recipe.kept_in_float) for rung in found.rungs if rung.recipe.kept_in_float]
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
    found = planted.search()
    assert planted.ranked == [Recipe("minmax", bias_corrected=True)]
    assert found.winner.recipe == Recipe("minmax", (NODES[0],), bias_corrected=True)


def test_of_those_that_hold_the_fastest_wins() -> None:
    planted = Planted(lambda recipe: 1.0 if len(recipe.kept_in_float) >= 3 else 0.7)

    def judge(model: Recipe) -> Judgement:
        honest = Planted.judge(planted, model)
        seconds = 1e-4 if len(model.kept_in_float) == 4 else honest.seconds
        return Judgement(honest.accuracy, honest.agreement, seconds)

    planted.judge = judge  # type: ignore[method-assign]
    found = planted.search()
    assert {len(rung.recipe.kept_in_float) for rung in found.rungs if rung.holds} == {3, 4}
    assert len(found.winner.recipe.kept_in_float) == 4


@pytest.mark.parametrize(("share", "expected"), [(0.95, 3), (0.85, 4)])
def test_a_lead_that_rough_timing_cannot_tell_is_none(share: float, expected: int) -> None:
    planted = Planted(lambda recipe: 1.0 if len(recipe.kept_in_float) >= 3 else 0.7)
    planted.judge = lambda model: Judgement(  # type: ignore[method-assign]
        0.9, planted.agreement(model), share if len(model.kept_in_float) == 4 else 1.0
    )
    assert len(planted.search().winner.recipe.kept_in_float) == expected


def test_when_none_holds_the_closest_is_shipped_and_never_all_is_in_float() -> None:
    planted = Planted(lambda recipe: 0.9 if recipe == Recipe("entropy") else 0.7)
    found = planted.search()
    assert not found.winner.holds
    assert not found.out_of_time
    assert found.winner.recipe == Recipe("entropy")
    assert max(len(rung.recipe.kept_in_float) for rung in found.rungs) == 16 < len(NODES)


@pytest.mark.parametrize(("seconds", "tried"), [(0.5, 1), (1.0, 1), (3.5, 4), (6.5, 7)])
def test_nothing_is_begun_when_the_time_is_up(seconds: float, tried: int) -> None:
    planted = Planted(lambda recipe: 0.7, seconds=seconds)
    found = planted.search()
    assert len(found.rungs) == tried
    assert found.out_of_time
    assert not planted.ranked


def test_the_best_so_far_is_shipped_when_the_time_is_up() -> None:
    # The sixteenth holds; eight and twelve are still to be looked at when time is up.
    planted = Planted(lambda recipe: 1.0 if len(recipe.kept_in_float) >= 9 else 0.7, seconds=11.5)
    found = planted.search()
    assert found.out_of_time
    assert found.winner.holds
    assert len(found.winner.recipe.kept_in_float) == 16


def test_a_flattered_accuracy_does_not_hide_answers_that_change() -> None:
    planted = Planted(lambda recipe: 0.7)
    planted.judge = lambda model: Judgement(0.95, 0.98, 1e-3)  # type: ignore[method-assign]
    assert not planted.search().winner.holds


def test_a_lost_accuracy_does_not_hold_either() -> None:
    planted = Planted(lambda recipe: 0.7, max_drop=0.02)
    planted.judge = lambda model: Judgement(0.85, 0.99, 1e-3)  # type: ignore[method-assign]
    assert not planted.search().winner.holds


def test_the_budget_itself_is_within_it() -> None:
    planted = Planted(lambda recipe: 97 / 100, max_drop=0.03)
    assert planted.search().winner.holds
    assert not Planted(lambda recipe: 96 / 100, max_drop=0.03).search().winner.holds


def test_a_recipe_says_what_it_is() -> None:
    assert str(Recipe("entropy", ("a",), bias_corrected=True, equalised=True)) == (
        "entropy, bias corrected, equalised, 1 node in float"
    )
    assert str(Recipe(kept_in_float=("a", "b"))) == "minmax, 2 nodes in float"


@pytest.mark.parametrize("approximation_is_faster", [True, False])
def test_a_gelu_by_a_sigmoid_is_taken_where_it_is_faster(approximation_is_faster: bool) -> None:
    compared = []

    def speedup(model: Recipe, other: Recipe) -> float:
        compared.append((model, other))
        return 1.1 if approximation_is_faster else 0.9

    found = Planted(lambda recipe: 1.0, faster=Faster(speedup, has_gelu=True)).search()
    assert [str(rung.recipe) for rung in found.rungs] == ["minmax", "minmax, GELU by a sigmoid"]
    assert compared == [(Recipe(sigmoid_gelu=True), Recipe())]
    assert found.winner.recipe.sigmoid_gelu is approximation_is_faster


def test_no_gelu_is_approximated_at_the_cost_of_the_budget() -> None:
    def agreement(recipe: Recipe) -> float:
        return 0.5 if recipe.sigmoid_gelu else 1.0

    faster = Faster(lambda *_: 2.0, has_gelu=True)
    assert Planted(agreement, faster=faster).search().winner.recipe == Recipe()
    found = Planted(lambda recipe: 0.5, faster=faster).search()
    assert not any(rung.recipe.sigmoid_gelu for rung in found.rungs)


CUTS = [f"cut {number}" for number in range(16)]
SLOW = Judgement(0.9, 1.0, 1.2e-3)  # of the fp32 file: int8 is only 1.2 times as fast


def by_beginning(peak: int, at_peak: float = 1.3) -> Faster[Recipe]:
    """The speed rises to ``at_peak`` with ``peak`` cuts in float, and falls from there."""

    def speedup(model: Recipe, other: Recipe) -> float:
        assert other == Recipe()
        count = CUTS.index(model.float_up_to) + 1
        return at_peak - 0.03 * abs(count - peak)

    return Faster(speedup, cuts=CUTS)


@pytest.mark.parametrize("peak", range(1, 17))
def test_the_beginning_that_is_the_fastest_in_float_is_found(peak: int) -> None:
    found = Planted(lambda recipe: 1.0, reference=SLOW, faster=by_beginning(peak, 2.0)).search()
    assert found.winner.recipe == Recipe(float_up_to=CUTS[peak - 1])
    assert str(found.winner.recipe) == f"minmax, in float up to {CUTS[peak - 1]}"
    tried = [rung.recipe for rung in found.rungs]
    assert len(tried) == len(set(tried)) <= 10


def test_a_beginning_that_is_hardly_faster_stays_in_int8() -> None:
    faster = by_beginning(4, 1.019)
    found = Planted(lambda recipe: 1.0, reference=SLOW, faster=faster).search()
    assert found.winner.recipe == Recipe()


def test_where_int8_gains_much_no_beginning_is_tried() -> None:
    reference = Judgement(0.9, 1.0, 1.5e-3)
    found = Planted(lambda recipe: 1.0, reference=reference, faster=by_beginning(4)).search()
    assert len(found.rungs) == 1


def test_a_beginning_in_float_keeps_the_budget() -> None:
    def agreement(recipe: Recipe) -> float:
        return 0.5 if recipe.float_up_to in CUTS[3:] else 1.0

    found = Planted(agreement, reference=SLOW, faster=by_beginning(5)).search()
    assert found.winner.recipe == Recipe(float_up_to=CUTS[2])


def test_the_fastest_beginning_so_far_is_shipped_when_the_time_is_up() -> None:
    planted = Planted(lambda recipe: 1.0, reference=SLOW, faster=by_beginning(8), seconds=2.5)
    found = planted.search()
    assert found.out_of_time
    assert found.winner.recipe == Recipe(float_up_to=CUTS[7])


@pytest.mark.parametrize(("gain", "taken"), [(1.2, True), (0.99, False)])
def test_convolutions_go_to_the_other_kernel_where_that_is_faster(gain: float, taken: bool) -> None:
    asked = []

    def generally(model: Recipe) -> list[str]:
        asked.append(model)
        return NODES[:3]

    faster = Faster(lambda *_: gain, generally=generally)
    found = Planted(lambda recipe: 1.0, faster=faster).search()
    assert asked == [Recipe()]
    assert str(found.rungs[1].recipe) == "minmax, 3 by the general product"
    assert bool(found.winner.recipe.multiplied_generally) is taken


def test_where_no_convolution_gains_no_other_file_is_made() -> None:
    faster = Faster(lambda *_: 2.0, generally=lambda _: [])
    assert len(Planted(lambda recipe: 1.0, faster=faster).search().rungs) == 1


def test_the_general_product_is_for_what_a_beginning_in_float_leaves_in_int8() -> None:
    asked = []

    def generally(model: Recipe) -> list[str]:
        asked.append(model)
        return NODES[:3]

    def speedup(model: Recipe, other: Recipe) -> float:
        return 1.3 if model.multiplied_generally else by_beginning(4).speedup(model, other)

    faster = Faster(speedup, generally=generally, cuts=CUTS)
    found = Planted(lambda recipe: 1.0, reference=SLOW, faster=faster).search()
    assert asked == [Recipe(float_up_to=CUTS[3])]
    assert found.winner.recipe == Recipe(float_up_to=CUTS[3], multiplied_generally=tuple(NODES[:3]))
