"""Which quantized graph is shipped, by what it answers and how fast."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from src.quantization.openvino import candidates
from src.quantization.openvino.candidates import Chosen, Recipe, Trial, best, in_turns
from src.quantization.trials import Judgement

IMAGE = np.zeros((1, 3, 2, 2), np.float32)


def trial(recipe: str, seconds: float, agreement: float = 1.0, *, holds: bool = True) -> Trial:
    judgement = Judgement(accuracy=1.0, agreement=agreement, seconds=seconds)
    return Trial(Recipe(recipe), judgement, holds)


def test_the_fastest_that_keeps_the_budget_is_shipped() -> None:
    trials = [trial("slow", 3.0), trial("fast", 2.0), trial("wrong", 1.0, 0.5, holds=False)]
    assert best(trials).recipe.preset == "fast"


def test_where_none_keeps_the_budget_the_closest_is_shipped() -> None:
    trials = [trial("fast", 1.0, 0.5, holds=False), trial("close", 2.0, 0.9, holds=False)]
    assert best(trials).recipe.preset == "close"


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

    monkeypatch.setattr(candidates.time, "perf_counter", lambda: now)
    found = in_turns({"one": Fake(0.010), "other": Fake(0.011)}, IMAGE)  # type: ignore[dict-item]
    assert found["other"] / found["one"] == pytest.approx(1.1)


class Machine:
    """Graphs that are numbers, and what a machine makes of them.

    Args:
        speeds: how fast each recipe is, by its name; what is not named is as fast as its preset.
        wrong: the recipes that answer a tenth of the images otherwise.
        crashing: those that end their process.
    """

    def __init__(
        self,
        speeds: dict[str, float],
        wrong: Sequence[str] = (),
        crashing: Sequence[str] = (),
    ) -> None:
        self.speeds, self.wrong, self.crashing = speeds, wrong, crashing
        self.quantized: list[str] = []
        self.reference = Judgement(1.0, 1.0, 1.0)

    def quantize(self, recipe: Recipe) -> Any:
        self.quantized.append(str(recipe))
        return dataclasses.replace(recipe, precision="f32")

    def opened(self, graph: Recipe, precision: str) -> Any:
        return dataclasses.replace(graph, precision=precision)

    def seconds(self, recipe: Recipe) -> float:
        return 1 / self.speeds.get(str(recipe), self.speeds[recipe.preset])

    def __call__(self, recipe: Recipe, seconds: float) -> Judgement:
        share = 0.9 if str(recipe) in self.wrong else 1.0
        return Judgement(share, share, seconds)

    def crash(self, graph: Recipe, images: object, precision: str, scratch: object) -> str | None:
        return "dies" if str(self.opened(graph, precision)) in self.crashing else None


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Chosen, dict[str, Any]]]:
    def chosen(
        it: Machine, activations: Sequence[str] = ("SiLU",), bf16: bool = True
    ) -> tuple[Chosen, dict[str, Any]]:
        module = candidates
        monkeypatch.setattr(module, "opened", it.opened)
        monkeypatch.setattr(module.crash_check, "crash", it.crash)
        monkeypatch.setattr(
            module, "in_turns", lambda all_, _: {key: it.seconds(all_[key]) for key in all_}
        )
        monkeypatch.setattr(
            module, "speedup_in_turn", lambda one, other, _: it.seconds(other) / it.seconds(one)
        )
        monkeypatch.setattr(module.machine, "has_bfloat16", lambda: bf16)
        monkeypatch.setattr(module, "Judge", lambda *_: it)
        source = SimpleNamespace(
            judging=(torch.zeros(10, 3, 2, 2), torch.zeros(10)), max_accuracy_drop=0.01, scratch="/"
        )
        presets = [Recipe("convolutional"), Recipe("transformer")]
        return module.choose(Recipe("fp32"), it.quantize, source, presets, activations)  # type: ignore[arg-type]

    return chosen


PRESETS = {"convolutional": 1.0, "transformer": 0.9}
BF16, HARD = ", bf16 for the rest", ", 100% of activations hard"
SOME = ", 70% of activations hard"


def test_each_step_that_keeps_the_budget_and_is_faster_is_taken(choose: Any) -> None:
    speeds = {f"convolutional{BF16}": 1.2, f"convolutional{BF16}{HARD}": 1.5}
    chosen, account = choose(Machine({**PRESETS, **speeds}))
    assert chosen.recipe == Recipe("convolutional", "bf16", 1.0)
    assert chosen.graph == Recipe("convolutional", "f32", 1.0)
    assert account["recipe"] == f"convolutional{BF16}{HARD}"
    rows = account["table"]["rows"]
    assert rows[account["table"]["chosen"]][0] == account["recipe"]
    assert [row[0] for row in rows[1:]] == [*PRESETS, *speeds]
    assert rows[-1][3] == pytest.approx(1 / 1.5)
    assert account["summary"][1:] == [
        "bf16 for what is left in float: 1.20 times as fast.",
        "SiLU by a hard swish for 100% of the values: 1.25 times as fast.",
    ]


def test_a_little_faster_is_not_worth_another_function(choose: Any) -> None:
    speeds = {f"convolutional{BF16}": 1.04, f"convolutional{HARD}": 1.04}
    it = Machine({**PRESETS, **speeds})
    chosen, account = choose(it)
    assert chosen.recipe == Recipe("convolutional")
    assert len(account["summary"]) == 1
    assert it.quantized == [*PRESETS, f"convolutional{HARD}"]  # with fewer no faster


def test_where_all_activations_are_too_many_fewer_are_tried(choose: Any) -> None:
    speeds = {f"convolutional{HARD}": 1.5, f"convolutional{SOME}": 1.3}
    it = Machine({**PRESETS, **speeds}, wrong=[f"convolutional{HARD}"])
    chosen, account = choose(it, bf16=False)
    assert str(chosen.recipe) == f"convolutional{SOME}"
    assert [row[-1] for row in account["table"]["rows"]] == [None, True, True, False, True]


@pytest.mark.parametrize("what", ["wrong", "crashing"])
def test_what_is_wrong_or_crashes_is_not_shipped(choose: Any, what: str) -> None:
    speeds = {f"convolutional{BF16}": 2.0, f"convolutional{HARD}": 2.0, f"convolutional{SOME}": 2.0}
    chosen, account = choose(Machine({**PRESETS, **speeds}, **{what: [*speeds]}))
    assert chosen.recipe == Recipe("convolutional")
    left_out = [sentence for sentence in account["summary"] if "was left out" in sentence]
    assert len(left_out) == (0 if what == "wrong" else 3)
    if left_out:
        assert left_out[0] == (
            f"NNCF's convolutional recipe{BF16} was left out: on this machine OpenVINO dies."
        )


def test_nothing_is_made_faster_that_does_not_keep_the_budget(choose: Any) -> None:
    it = Machine(PRESETS, wrong=[*PRESETS])
    _, account = choose(it)
    assert it.quantized == [*PRESETS]
    assert account["within_budget"] is False
    assert account["summary"][0].startswith("No recipe kept the accuracy budget on 10 training")


def test_a_network_without_such_activations_is_quantized_no_further(choose: Any) -> None:
    it = Machine(PRESETS)
    choose(it, activations=[])
    assert it.quantized == [*PRESETS]
