from __future__ import annotations

import numpy as np
import pytest

from src.benchmark.latency import speedup, summarize


def test_a_cell_is_its_samples() -> None:
    cell = summarize(1, [[1.0, 2.0], [3.0, 4.0, 5.0]])
    assert cell["samples"] == 5
    assert cell["rounds"] == 2
    assert cell["mean_s"] == 3.0
    assert cell["p50_s"] == 3.0
    assert cell["iqr_s"] == 2.0
    assert cell["seconds"] == [[1.0, 2.0], [3.0, 4.0, 5.0]]


@pytest.mark.parametrize(
    ("samples", "present"),
    [(63, {"p50_s"}), (64, {"p50_s", "p90_s"}), (662, {"p50_s", "p90_s", "p99_s"})],
)
def test_a_percentile_without_samples_behind_it_is_missing(samples: int, present: set[str]) -> None:
    cell = summarize(1, [list(np.linspace(1, 2, samples))])
    assert {name for name in ("p50_s", "p90_s", "p99_s") if cell[name] is not None} == present


@pytest.mark.parametrize(("spread", "stable"), [(0.05, True), (0.5, False)])
def test_a_wide_cell_says_that_it_is_unstable(spread: float, stable: bool) -> None:
    assert summarize(1, [list(np.linspace(1, 1 + spread, 100))])["stable"] is stable


def test_drift_that_both_saw_cancels() -> None:
    drift = [1.0, 1.3, 2.0, 1.1]
    interval = speedup([[2 * each] * 3 for each in drift], [[each] * 3 for each in drift])
    assert interval.value == pytest.approx(2)
    assert interval.low == pytest.approx(2)
    assert interval.high == pytest.approx(2)


def test_the_interval_holds_one_for_equals_and_not_for_a_clear_difference() -> None:
    generator = np.random.default_rng(1)

    def rounds(level: float) -> list[list[float]]:
        return [list(level * generator.normal(1, 0.02, 50)) for _ in range(10)]

    same = speedup(rounds(1), rounds(1))
    assert same.low < 1 < same.high
    slower = speedup(rounds(1), rounds(1.05))
    assert slower.high < 1
    assert slower.value == pytest.approx(1 / 1.05, rel=0.01)


def test_the_same_samples_give_the_same_interval() -> None:
    samples = [[1.0, 2.0], [1.5, 1.0], [1.2, 1.3]]
    assert speedup(samples, samples[::-1]) == speedup(samples, samples[::-1])
