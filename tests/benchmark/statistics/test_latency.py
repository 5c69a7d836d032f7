"""Figures of a cell, computed from its samples."""

from __future__ import annotations

import numpy as np
import pytest

from src.benchmark.statistics.latency import (
    summarize,
)
from tests.benchmark.statistics.turns import BUSY, turn_of, turns


def test_the_figures_of_a_cell_are_computed_from_its_samples() -> None:
    cell = summarize(4, turns([[1.0, 2.0], [3.0, 4.0, 5.0]]))
    assert cell.samples == 5
    assert cell.rounds == 2
    assert cell.mean_s == 3.0
    assert cell.p50_s == 3.0
    assert cell.iqr_s == 2.0
    assert cell.images_per_second == pytest.approx(4 * 5 / 15)
    assert cell.busy_cores == pytest.approx(2)
    assert cell.seconds == {"0": [1.0, 2.0], "1": [3.0, 4.0, 5.0]}
    assert (cell.processes, cell.process_of_round) == (1, {"0": 0, "1": 0})
    assert cell.device_p50_s is None
    assert cell.joules_per_image is None


def test_device_time_and_energy_are_kept_apart() -> None:
    turn = turn_of([2.0] * 3, device_seconds=[0.5] * 3, energy_joules=30.0)
    cell = summarize(2, {0: turn, 1: turn})
    assert cell.device_p50_s == 0.5
    assert cell.p50_s == 2.0
    assert cell.joules_per_image == pytest.approx(60 / 12)


@pytest.mark.parametrize(
    ("samples", "present"),
    [(63, {"p50_s"}), (64, {"p50_s", "p90_s"}), (662, {"p50_s", "p90_s", "p99_s"})],
)
def test_a_percentile_without_samples_behind_it_is_missing(samples: int, present: set[str]) -> None:
    cell = summarize(1, turns([list(np.linspace(1, 2, samples))]))
    assert {
        name for name in ("p50_s", "p90_s", "p99_s") if getattr(cell, name) is not None
    } == present


@pytest.mark.parametrize(("spread", "causes"), [(0.05, []), (0.5, ["spread"])])
def test_a_wide_cell_says_that_it_is_unstable(spread: float, causes: list[str]) -> None:
    cell = summarize(1, turns([list(np.linspace(1, 1 + spread, 100))]))
    assert cell.unstable == causes
    assert cell.stable is not causes


def test_what_disturbed_a_cell_comes_before_its_spread() -> None:
    turn = turn_of([1.0, 2.0, 3.0], disturbance=BUSY)
    cell = summarize(1, {0: turn}, warm=False)
    assert cell.unstable == ["busy", "cold", "spread"]
    assert cell.stable is False
    assert cell.disturbance
    assert cell.disturbance.other_cores == pytest.approx(0.9)
