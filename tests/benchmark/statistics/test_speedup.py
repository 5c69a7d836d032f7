"""Speed-ups and their intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from src.benchmark.statistics.latency import (
    ONE_PROCESS_RATIO,
    independent_groups,
    rounds_of,
    speedup,
    summarize,
)
from src.run.latency import Cell, Disturbance, Interval, Turn
from src.run.layout import as_dict
from src.run.reading import convert
from tests.benchmark.statistics.turns import BUSY, QUIET, turn_of, turns


def test_drift_of_both_rows_cancels() -> None:
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


def test_rounds_in_one_process_have_an_interval_that_says_that_it_is_assumed() -> None:
    baseline, alone = turns([[2.0]] * 8), turns([[1.0]] * 8, rounds_a_process=8)
    for interval in (speedup(baseline, alone), speedup(alone, baseline)):
        assert interval
        assert interval.processes == 1
        # All rounds agree, which says nothing of another process.
        assert interval.high / interval.value == pytest.approx(ONE_PROCESS_RATIO)
        assert interval.value / interval.low == pytest.approx(ONE_PROCESS_RATIO)
    assert speedup(baseline, turns([[1.0]])) is None
    both = speedup(baseline, turns([[1.0]] * 8))
    assert both
    assert (both.low, both.value, both.high, both.processes) == (2, 2, 2, 4)


def test_rounds_of_a_restless_process_widen_its_assumed_interval() -> None:
    restless = turns([[1.0], [1.5]] * 4, rounds_a_process=8)
    interval = speedup(turns([[1.0]] * 8, rounds_a_process=8), restless)
    assert interval
    assert interval.high / interval.value > 1.02 * ONE_PROCESS_RATIO


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ({0: (0, 0), 1: (0, 0), 2: (1, 1)}, [[0, 1], [2]]),
        ({0: (0, 0), 1: (1, 0), 2: (2, 0)}, [[0, 1, 2]]),  # one side has one process
        ({0: (0, 0), 1: (0, 1), 2: (1, 2), 3: (2, 2)}, [[0, 1], [2, 3]]),
        ({0: (0, 0), 1: (1, 1), 2: (1, 0)}, [[0, 1, 2]]),  # the last one joins what was apart
        ({0: (1, 0), 1: (0, 1)}, [[0], [1]]),  # numbers of two rows are not the same process
        ({}, []),
    ],
)
def test_no_two_groups_of_rounds_share_a_process(
    pairs: dict[int, tuple[int, int]], expected: list[list[int]]
) -> None:
    assert sorted(sorted(group) for group in independent_groups(pairs)) == expected


def test_what_differs_from_process_to_process_widens_the_interval() -> None:
    # Twenty rounds that agree to the last digit in each of ten processes, which do not.
    baseline = turns([[1.0]] * 20)
    processes = turns([[1 + 0.01 * (-1) ** (number // 2)] for number in range(20)])
    interval = speedup(baseline, processes)
    assert interval
    assert interval.low < 0.995
    assert interval.high > 1.005


def test_a_process_of_many_rounds_weighs_as_much_as_one_of_few() -> None:
    baseline = turns([[1.0]] * 12)
    processes = {
        number: turn_of([1.0 if number < 9 else 0.5], process=int(number >= 9))
        for number in range(12)
    }
    interval = speedup(
        baseline | {n: turn_of([1.0], process=int(n >= 9)) for n in baseline}, processes
    )
    assert interval
    assert interval.value == pytest.approx(2**0.5)


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


def test_a_process_of_which_a_round_is_missing_still_counts() -> None:
    whole = turns([[2.0]] * 14)
    rounds = turns([[1.0]] * 13)
    interval = speedup(whole, rounds)
    assert interval
    assert (interval.low, interval.value, interval.high) == pytest.approx((2, 2, 2))
    assert interval.processes == 7


@pytest.mark.parametrize("rounds_a_process", [3, 4, 5, 10])
def test_one_interrupted_turn_does_not_move_the_speedup(rounds_a_process: int) -> None:
    baseline = turns([[1.0]] * 20, rounds_a_process=rounds_a_process)
    interrupted = turns([[0.5]] * 16 + [[50.0]] + [[0.5]] * 3, rounds_a_process=rounds_a_process)
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


PROCESSES, ROUNDS = 5, 3  # of each measurement, and in each process


def session(
    generator: np.random.Generator, spread: float, kind: str, *, renewed: bool
) -> dict[int, Turn]:
    """A row's rounds. Each process has a speed of its own, and a turn now and then is disturbed.

    Args:
        spread: the standard deviation of the logarithm of a process's speed.
        kind: of its distribution. ``slow now and then`` has two modes, as torch's was seen to have.
        renewed: each group of rounds has a new process. Otherwise one process loads the file again
            for each, which moves its speed by a percent; the interval takes loads for processes.
    """
    count = PROCESSES if renewed else 1
    if kind == "normal":
        speeds = generator.normal(0, spread, count)
    else:
        speeds = 0.01 * generator.normal(size=count)
        speeds += np.log1p(spread) * (generator.random(count) < 0.2)
    speeds = speeds + generator.normal(0, 0.01, PROCESSES)
    levels = np.repeat(np.exp(speeds), ROUNDS)
    levels *= 1 + 0.2 * (generator.random(len(levels)) < 0.05)
    samples = levels[:, None] * generator.normal(1, 0.02, (len(levels), 4))
    return turns(samples.tolist(), rounds_a_process=ROUNDS)


def coverage(intervals: Sequence[Interval | None]) -> float:
    return float(np.mean([each.low <= 1 <= each.high for each in intervals if each]))


@pytest.mark.parametrize("kind", ["normal", "slow now and then"])
@pytest.mark.parametrize("spread", [0.05, 0.1, 0.25])
def test_an_interval_over_processes_has_its_stated_coverage_and_one_over_loads_has_not(
    spread: float, kind: str
) -> None:
    generator = np.random.default_rng(0)
    over = {
        renewed: coverage(
            [
                speedup(*(session(generator, spread, kind, renewed=renewed) for _ in range(2)))
                for _ in range(400)
            ]
        )
        for renewed in (True, False)
    }
    # Four standard deviations of a binomial are 4.4 points. Where now and then a process is slow,
    # Student's interval holds the truth rather too often.
    assert 0.906 <= over[True] <= (0.994 if kind == "normal" else 1.0)
    # It held where both rows had a process of one kind by luck, which is two times out of three.
    assert over[False] < (0.4 if kind == "normal" else 0.7)


def test_an_interval_from_two_processes_is_wide() -> None:
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
    stored = [
        rounds_of(convert(json.loads(json.dumps(as_dict(summarize(1, each)))), Cell))
        for each in (one, other)
    ]
    stored_interval, expected = speedup(*stored), speedup(one, other)
    assert stored_interval
    assert expected
    # What is stored is rounded to a tenth of a microsecond.
    assert as_dict(stored_interval) == pytest.approx(as_dict(expected), rel=1e-5)


def test_two_processes_far_apart_give_an_interval_that_a_record_holds() -> None:
    interval = speedup(turns([[1.0], [1.0], [1e5], [1e5]]), turns([[1.0], [1.0], [1.0], [1.0]]))
    assert interval
    assert interval.low == pytest.approx(interval.value / 1e6)
    assert interval.high == pytest.approx(interval.value * 1e6)
    assert convert(as_dict(interval), Interval) == interval
