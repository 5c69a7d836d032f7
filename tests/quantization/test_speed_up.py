"""The changes that make a planted recipe within the budget faster."""

from __future__ import annotations

from typing import Any

import pytest

from src.quantization.evaluation import Evaluation
from src.quantization.onnx.recipe import OnnxRecipe as Recipe
from tests.quantization.planted_search import NODES, Planted


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


def test_no_gelu_is_approximated_if_it_misses_the_budget() -> None:
    def agreement(recipe: Recipe) -> float:
        return 0.5 if recipe.sigmoid_gelu else 1.0

    faster: dict[str, Any] = {"speedup": lambda *_: 2.0, "faster": {"has_gelu": True}}
    assert Planted(agreement, **faster).search().best.recipe == Recipe()
    outcome = Planted(lambda recipe: 0.5, **faster).search()
    assert not any(trial.recipe.sigmoid_gelu for trial in outcome.trials)


CUTS = [f"cut {number}" for number in range(16)]
SLOW = Evaluation(0.9, 1.0, 1.2e-3)  # of the fp32 file: int8 is only 1.2 times as fast


def by_prefix(peak: int, at_peak: float = 1.3) -> dict[str, Any]:
    """Return a speed that rises to ``at_peak`` at ``peak`` blocks in float, and falls after it."""

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
    models = []

    def suited(model: Recipe) -> list[str]:
        models.append(model)
        return NODES[:3]

    faster = {"gemm_convolutions": suited}
    outcome = Planted(lambda recipe: 1.0, speedup=lambda *_: gain, faster=faster).search()
    assert models == [Recipe()]
    assert str(outcome.trials[1].recipe) == "minmax, 3 by im2col and GEMM"
    assert bool(outcome.best.recipe.gemm_convolutions) is taken


def test_where_no_convolution_gains_no_other_file_is_made() -> None:
    faster = {"gemm_convolutions": lambda _: []}
    planted = Planted(lambda recipe: 1.0, speedup=lambda *_: 2.0, faster=faster)
    assert len(planted.search().trials) == 1


def test_im2col_and_gemm_are_for_what_a_beginning_in_float_leaves_in_int8() -> None:
    models = []

    def suited(model: Recipe) -> list[str]:
        models.append(model)
        return NODES[:3]

    def speedup(model: Recipe, other: Recipe) -> float:
        return 1.3 if model.gemm_convolutions else by_prefix(4)["speedup"](model, other)

    faster: dict[str, Any] = {
        "speedup": speedup,
        "faster": {"gemm_convolutions": suited, "cut_points": CUTS},
    }
    outcome = Planted(lambda recipe: 1.0, reference=SLOW, **faster).search()
    assert models == [Recipe(float_prefix=CUTS[3])]
    assert outcome.best.recipe == Recipe(float_prefix=CUTS[3], gemm_convolutions=tuple(NODES[:3]))
