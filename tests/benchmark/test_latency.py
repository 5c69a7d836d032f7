from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from src.benchmark.disturbance import Disturbance
from src.benchmark.latency import ROUNDS_A_LOAD, Turn, load_of, rounds_of, speedup, summarize

QUIET = Disturbance(1.0, steal_share=0.0, other_cores=0.0, frequency_hz=None)
BUSY = Disturbance(1.0, steal_share=0.0, other_cores=0.9, frequency_hz=None)


def turns(
    samples: Sequence[Sequence[float]], first: int = 0, disturbance: Disturbance | None = None
) -> dict[int, Turn]:
    return {
        number: Turn(
            each,
            elapsed_seconds=sum(each),
            cpu_seconds=2 * sum(each),
            disturbance=disturbance,
        )
        for number, each in enumerate(samples, start=first)
    }


def test_a_cell_is_its_samples() -> None:
    cell = summarize(4, turns([[1.0, 2.0], [3.0, 4.0, 5.0]]))
    assert cell["samples"] == 5
    assert cell["rounds"] == 2
    assert cell["mean_s"] == 3.0
    assert cell["p50_s"] == 3.0
    assert cell["iqr_s"] == 2.0
    assert cell["images_per_second"] == pytest.approx(4 * 5 / 15)
    assert cell["busy_cores"] == pytest.approx(2)
    assert cell["seconds"] == {"0": [1.0, 2.0], "1": [3.0, 4.0, 5.0]}
    assert cell["device_p50_s"] is None
    assert cell["joules_per_image"] is None


def test_device_time_and_energy_are_kept_apart() -> None:
    turn = Turn([2.0] * 3, 6.0, 1.0, device_seconds=[0.5] * 3, energy_joules=30.0)
    cell = summarize(2, {0: turn, 1: turn})
    assert cell["device_p50_s"] == 0.5
    assert cell["p50_s"] == 2.0
    assert cell["joules_per_image"] == pytest.approx(60 / 12)


@pytest.mark.parametrize(
    ("samples", "present"),
    [(63, {"p50_s"}), (64, {"p50_s", "p90_s"}), (662, {"p50_s", "p90_s", "p99_s"})],
)
def test_a_percentile_without_samples_behind_it_is_missing(samples: int, present: set[str]) -> None:
    cell = summarize(1, turns([list(np.linspace(1, 2, samples))]))
    assert {name for name in ("p50_s", "p90_s", "p99_s") if cell[name] is not None} == present


@pytest.mark.parametrize(("spread", "causes"), [(0.05, []), (0.5, ["spread"])])
def test_a_wide_cell_says_that_it_is_unstable(spread: float, causes: list[str]) -> None:
    cell = summarize(1, turns([list(np.linspace(1, 1 + spread, 100))]))
    assert cell["unstable"] == causes
    assert cell["stable"] is not causes


def test_what_disturbed_a_cell_comes_before_its_spread() -> None:
    turn = Turn([1.0, 2.0, 3.0], 6.0, 6.0, disturbance=BUSY)
    cell = summarize(1, {0: turn}, warm=False)
    assert cell["unstable"] == ["busy", "cold", "spread"]
    assert cell["stable"] is False
    assert cell["disturbance"]["other_cores"] == pytest.approx(0.9)


def test_drift_that_both_saw_cancels() -> None:
    drift = [1.0, 1.3, 2.0, 1.1, 1.7]
    interval = speedup(
        turns([[2 * each] * 3 for each in drift]), turns([[each] * 3 for each in drift])
    )
    assert interval
    assert interval.value == pytest.approx(2)
    assert interval.low == pytest.approx(2)
    assert interval.high == pytest.approx(2)
    assert interval.half_width == pytest.approx(0)


def test_only_rounds_in_common_are_compared() -> None:
    baseline = turns([[1.0], [2.0], [3.0], [4.0], [50.0], [60.0]])
    interval = speedup(baseline, turns([[1.0], [2.0], [3.0], [4.0]]))
    assert interval
    assert interval.value == pytest.approx(1)
    assert speedup(baseline, turns([[1.0], [1.0], [1.0], [1.0]], first=6)) is None


def test_rounds_on_a_single_load_have_no_interval() -> None:
    assert load_of(0) == load_of(1) != load_of(2)
    baseline = turns([[1.0]] * 4)
    assert speedup(baseline, turns([[1.0]] * 2)) is None
    assert speedup(baseline, turns([[1.0]] * 3)) is not None


def test_what_differs_from_load_to_load_widens_the_interval() -> None:
    # Twenty rounds that agree to the last digit on each of ten loads, which do not.
    baseline = turns([[1.0]] * 20)
    loads = turns([[1 + 0.01 * (-1) ** load_of(number)] for number in range(20)])
    interval = speedup(baseline, loads)
    assert interval
    assert interval.low < 0.995
    assert interval.high > 1.005


def test_calls_that_others_fall_into_weigh_as_much_as_the_time_they_took() -> None:
    # A third of the time is taken from both; it falls into one of three quick calls.
    slow = [[30.0, 30.0]] * 10
    quick = [[5.0, 5.0, 20.0] * 2] * 10
    for one, other in ((BUSY, BUSY), (BUSY, QUIET), (QUIET, BUSY)):
        interval = speedup(turns(slow, disturbance=one), turns(quick, disturbance=other))
        assert interval
        assert interval.value == pytest.approx(3)


@pytest.mark.parametrize("disturbance", [QUIET, None])
def test_without_others_on_the_cores_a_slow_call_now_and_then_does_not_count(
    disturbance: Disturbance | None,
) -> None:
    interval = speedup(
        turns([[2.0, 2.0, 2.0]] * 10),
        turns([[1.0, 1.0, 9.0]] * 10, disturbance=disturbance),
    )
    assert interval
    assert interval.value == pytest.approx(2)


def test_a_load_of_which_a_round_is_missing_still_counts() -> None:
    whole = turns([[2.0]] * 14)
    rounds = turns([[1.0]] * 13)
    interval = speedup(whole, rounds)
    assert interval
    assert (interval.low, interval.value, interval.high) == pytest.approx((2, 2, 2))


def test_one_interrupted_turn_does_not_move_the_speedup() -> None:
    baseline = turns([[1.0]] * 20)
    interrupted = turns([[0.5]] * 19 + [[50.0]])
    interval = speedup(baseline, interrupted)
    assert interval
    assert interval.value == pytest.approx(2)


def rounds(generator: np.random.Generator, level: float, count: int) -> dict[int, Turn]:
    return turns([list(level * generator.normal(1, 0.02, 20)) for _ in range(count)])


def test_a_clear_difference_is_told_from_none() -> None:
    generator = np.random.default_rng(1)
    same = speedup(rounds(generator, 1, 20), rounds(generator, 1, 20))
    assert same
    assert same.low < 1 < same.high
    slower = speedup(rounds(generator, 1, 20), rounds(generator, 1.05, 20))
    assert slower
    assert slower.high < 1
    assert slower.value == pytest.approx(1 / 1.05, rel=0.01)


def loads(generator: np.random.Generator, level: float, count: int) -> dict[int, Turn]:
    """Rounds on loads of a file that differ by 2 %, with a disturbed turn now and then."""
    speeds = np.repeat(generator.normal(1, 0.02, count), ROUNDS_A_LOAD)
    slow = 1 + 0.2 * (generator.random(len(speeds)) < 0.05)
    return turns([list(level * each * generator.normal(1, 0.02, 20)) for each in speeds * slow])


@pytest.mark.parametrize("kind", [rounds, loads])
def test_the_interval_holds_the_truth_as_often_as_it_says(kind: Any) -> None:
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        interval = speedup(kind(generator, 1, 12), kind(generator, 1, 12))
        assert interval
        held += interval.low <= 1 <= interval.high
    # 95 % of 300 is 285; four standard deviations of a binomial are 15.
    assert 270 <= held <= 300


def test_an_interval_from_two_loads_is_as_wide_as_so_little_deserves() -> None:
    # Logarithms of the ratios 0 and 0.02: 0.01 -+ 12.7 * 0.01.
    baseline = turns([[1.0]] * 4)
    interval = speedup(baseline, turns([[1.0]] * 2 + [[float(np.exp(-0.02))]] * 2))
    assert interval
    assert np.log([interval.low, interval.value, interval.high]) == pytest.approx(
        [0.01 - 0.12706, 0.01, 0.01 + 0.12706], abs=1e-4
    )


def test_the_same_samples_give_the_same_interval() -> None:
    samples = [[1.0, 2.0], [1.5, 1.0], [1.2, 1.3]]
    assert speedup(turns(samples), turns(samples[::-1])) == speedup(
        turns(samples), turns(samples[::-1])
    )


@pytest.mark.parametrize("disturbance", [None, QUIET, BUSY])
def test_a_stored_cell_gives_the_same_speedup(disturbance: Disturbance | None) -> None:
    generator = np.random.default_rng(0)
    one, other = (
        turns([list(level * generator.exponential(size=5)) for _ in range(14)], 0, disturbance)
        for level in (1.0, 2.0)
    )
    stored = [rounds_of(json.loads(json.dumps(summarize(1, each)))) for each in (one, other)]
    found, expected = speedup(*stored), speedup(one, other)
    assert found
    assert expected
    # What is stored is rounded to a tenth of a microsecond.
    assert found.to_dict() == pytest.approx(expected.to_dict(), rel=1e-5)
