"""The search for OpenVINO's recipe, with a fake quantizer, evaluator and machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.quantization import account, evaluation
from src.quantization.evaluation import Evaluation, speedup_in_turn
from src.quantization.openvino import candidates, sentences
from src.quantization.openvino.candidates import Int8Graph, OpenVinoCandidates
from src.quantization.openvino.recipe import OpenVinoRecipe as Recipe
from src.quantization.search import Outcome, search
from src.run.facts import ExportDetails

IMAGE = np.zeros((1, 3, 2, 2), np.float32)
IMAGES, LABELS = np.zeros((10, 3, 2, 2), np.float32), np.zeros(10, np.int64)


def test_files_are_timed_in_turns_so_that_a_slow_phase_hits_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0

    class Fake:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def __call__(self, images: object) -> None:
            nonlocal now
            now += self.seconds * (2 if now > 1.0 else 1)  # the machine slows down half-way

    monkeypatch.setattr(evaluation.time, "perf_counter", lambda: now)
    speedup = speedup_in_turn(Fake(0.010), Fake(0.011), IMAGE)  # type: ignore[arg-type]
    assert speedup == pytest.approx(1.1)


class Machine:
    """A fake quantizer whose graphs are recipes, and a fake evaluator that runs them.

    Args:
        speeds: speed of recipes, by name; the others are as fast as their preset.
        wrong: names of the recipes that predict another class for a tenth of the images.
        crashing: names of the recipes that crash their process.
        layers: layers of the network, the most sensitive one first.
    """

    float_graph = Recipe("convolutional")
    reference = Evaluation(1.0, 1.0, 1.0)

    def __init__(
        self,
        speeds: dict[str, float],
        wrong: Sequence[str] = (),
        crashing: Sequence[str] = (),
        layers: Sequence[str] = (),
    ) -> None:
        self.speeds, self.wrong, self.crashing, self.layers = speeds, wrong, crashing, layers
        self.quantized: list[str] = []

    def quantize(self, recipe: Recipe) -> Any:
        self.quantized.append(str(recipe))
        return dataclasses.replace(recipe)  # a new object, as a graph is

    def sensitivity_order(self, graph: Recipe) -> list[str]:
        return list(self.layers)

    def __call__(self, recipe: Recipe) -> Evaluation:
        share = 0.9 if str(recipe) in self.wrong else 1.0
        return Evaluation(share, share, self._seconds(recipe))

    def speedup(self, recipe: Recipe, other: Recipe) -> float:
        return self._seconds(other) / self._seconds(recipe)

    def crash(self, graph: Recipe, images: object, precision: str, scratch: object) -> str | None:
        return "dies" if str(opened(Int8Graph(graph, precision))) in self.crashing else None

    def _seconds(self, recipe: Recipe) -> float:
        return 1 / self.speeds.get(str(recipe), self.speeds[recipe.preset])


def opened(model: Int8Graph) -> Recipe:
    return dataclasses.replace(model.graph, precision=model.precision)


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Outcome[Any, Any], Any]]:
    def chosen(
        fake: Machine, activations: Sequence[str] = ("SiLU",), bf16: bool = True
    ) -> tuple[Outcome[Recipe, Int8Graph], ExportDetails]:
        monkeypatch.setattr(Int8Graph, "opened", opened)
        monkeypatch.setattr(candidates.crash_check, "crash", fake.crash)
        monkeypatch.setattr(candidates.machine, "has_bfloat16", lambda: bf16)
        monkeypatch.setattr(candidates, "Evaluator", lambda *_: fake)
        presets = [Recipe("convolutional"), Recipe("transformer")]
        planted = OpenVinoCandidates(
            fake,  # type: ignore[arg-type]
            presets,
            activations,
            IMAGES,
            LABELS,
            Path("/"),
        )
        outcome = search(planted, max_drop=0.01, seconds=1e9)
        return outcome, account.of_search(
            outcome,
            str(outcome.best.recipe),
            sentences.of_search(outcome, len(IMAGES), activations),
            images=len(IMAGES),
            reference_name="the fp32 graph",
            format_name="openvino_int8",
        )

    return chosen


PRESETS = {"convolutional": 1.0, "transformer": 0.9}
BF16, HARD = ", bf16 for the rest", ", 100% of activations hard"
SOME = ", 70% of activations hard"


def test_the_fastest_preset_that_keeps_the_budget_is_shipped(choose: Any) -> None:
    speeds = {"convolutional": 0.9, "transformer": 1.0}
    assert choose(Machine(speeds), (), False)[0].best.recipe.preset == "transformer"
    assert choose(Machine(PRESETS), (), False)[0].best.recipe.preset == "convolutional"
    wrong = choose(Machine(speeds, wrong=["transformer"]), (), False)[0]
    assert wrong.best.recipe.preset == "convolutional"


def test_where_none_keeps_the_budget_the_closest_is_shipped(
    choose: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Machine(PRESETS)
    monkeypatch.setattr(
        Machine,
        "__call__",
        lambda _, recipe: Evaluation(0.5, 0.9 if recipe.preset == "transformer" else 0.5, 1.0),
    )
    assert choose(fake)[0].best.recipe.preset == "transformer"


def test_each_step_that_keeps_the_budget_and_is_faster_is_taken(choose: Any) -> None:
    speeds = {f"convolutional{BF16}": 1.2, f"convolutional{BF16}{HARD}": 1.5}
    outcome, account = choose(Machine({**PRESETS, **speeds}))
    assert outcome.best.recipe == Recipe("convolutional", "bf16", 1.0)
    assert outcome.model.graph == Recipe("convolutional", "f32", 1.0)
    assert account.more["recipe"] == f"convolutional{BF16}{HARD}"
    rows = account.table.rows
    assert rows[account.table.chosen][0] == account.more["recipe"]
    assert [row[0] for row in rows[1:]] == [*PRESETS, *speeds]
    assert rows[-1][3] == pytest.approx(1 / 1.5)
    assert account.summary[1:] == [
        "bf16 for what is left in float: 1.20 times as fast.",
        "SiLU by a hard swish for 100% of the values: 1.25 times as fast.",
    ]


def test_a_little_faster_is_not_worth_another_function(choose: Any) -> None:
    speeds = {f"convolutional{BF16}": 1.04, f"convolutional{HARD}": 1.04}
    fake = Machine({**PRESETS, **speeds})
    outcome, account = choose(fake)
    assert outcome.best.recipe == Recipe("convolutional")
    assert len(account.summary) == 1
    assert fake.quantized == [*PRESETS, f"convolutional{HARD}"]  # with fewer no faster


def test_where_all_activations_are_too_many_fewer_are_tried(choose: Any) -> None:
    speeds = {f"convolutional{HARD}": 1.5, f"convolutional{SOME}": 1.3}
    fake = Machine({**PRESETS, **speeds}, wrong=[f"convolutional{HARD}"])
    outcome, account = choose(fake, bf16=False)
    assert str(outcome.best.recipe) == f"convolutional{SOME}"
    assert [row[-1] for row in account.table.rows] == [None, True, True, False, True]


@pytest.mark.parametrize("what", ["wrong", "crashing"])
def test_a_recipe_that_misses_the_budget_or_crashes_is_not_shipped(choose: Any, what: str) -> None:
    speeds = {f"convolutional{BF16}": 2.0, f"convolutional{HARD}": 2.0, f"convolutional{SOME}": 2.0}
    outcome, account = choose(Machine({**PRESETS, **speeds}, **{what: [*speeds]}))
    assert outcome.best.recipe == Recipe("convolutional")
    left_out = [sentence for sentence in account.summary if "was left out" in sentence]
    assert len(left_out) == (0 if what == "wrong" else 3)
    if left_out:
        assert left_out[0] == (
            f"NNCF's convolutional recipe{BF16} was left out: on this machine OpenVINO dies."
        )


def test_nothing_is_made_faster_that_does_not_keep_the_budget(choose: Any) -> None:
    fake = Machine(PRESETS, wrong=[*PRESETS])
    _, account = choose(fake)
    assert fake.quantized == [*PRESETS]
    assert account.within_budget is False
    assert account.summary[0].startswith("No recipe kept the accuracy budget on 10 training")


ONE, TWO, FOUR = (f", {words} in float" for words in ("1 node", "2 nodes", "4 nodes"))


def test_where_no_preset_keeps_the_budget_the_most_sensitive_layers_stay_in_float(
    choose: Any,
) -> None:
    wrong = [*PRESETS, f"convolutional{ONE}", f"convolutional{TWO}"]
    fake = Machine(PRESETS, wrong=wrong, layers=["c", "a", "e", "b", "d"])
    outcome, account = choose(fake, (), False)
    assert fake.quantized == [*wrong, f"convolutional{FOUR}", "convolutional, 3 nodes in float"]
    assert outcome.best.recipe.kept_in_float == ("c", "a", "e")
    assert account.within_budget is True
    assert account.summary[:2] == [
        "Made by NNCF's convolutional recipe, 3 nodes in float; the fastest that kept the accuracy "
        "budget on 10 training images that it was not calibrated on.",
        "In float: c, a, e, which add the most noise of their own when they are quantized.",
    ]


def test_a_recipe_with_layers_in_float_is_made_faster_too(choose: Any) -> None:
    best = f"convolutional{ONE}"
    speeds = {**PRESETS, f"{best}{BF16}": 1.2, f"{best}{BF16}{HARD}": 1.5}
    fake = Machine(speeds, wrong=[*PRESETS], layers=["a", "b"])
    outcome, _ = choose(fake)
    assert outcome.best.recipe == Recipe("convolutional", "bf16", 1.0, kept_in_float=("a",))
    # bf16 is no other graph.
    assert fake.quantized == [*PRESETS, best, f"{best}{HARD}"]


def test_a_graph_with_layers_in_float_that_crashes_is_not_shipped(choose: Any) -> None:
    fake = Machine(
        PRESETS, wrong=[*PRESETS], crashing=[f"convolutional{ONE}"], layers=["a", "b", "c"]
    )
    outcome, account = choose(fake, (), False)
    assert outcome.best.recipe.kept_in_float == ("a", "b")
    assert account.summary[-1].startswith(f"NNCF's convolutional recipe{ONE} was left out")


def test_a_network_without_such_activations_is_quantized_no_further(choose: Any) -> None:
    fake = Machine(PRESETS)
    choose(fake, activations=[])
    assert fake.quantized == [*PRESETS]
