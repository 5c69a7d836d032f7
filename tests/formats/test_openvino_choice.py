"""Which quantized graph is shipped, by what it answers and how fast."""

from __future__ import annotations

import numpy as np
import pytest

from src.formats import _openvino_choice
from src.formats._int8_ladder import Judgement
from src.formats._openvino_choice import Recipe, Trial, best, in_turns

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

    monkeypatch.setattr(_openvino_choice.time, "perf_counter", lambda: now)
    found = in_turns({"one": Fake(0.010), "other": Fake(0.011)}, IMAGE)  # type: ignore[dict-item]
    assert found["other"] / found["one"] == pytest.approx(1.1)
