"""The warm-up of pipelines: its limit, its end, and the mark of a speed that still changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat

import numpy as np
import pytest

from src.shipped.warm_up import LEAST_WINDOWS, is_cold, of_files

FILES = [b"0", b"1", b"2", b"3"]
TOLERANCE = 0.02


class Calls:
    """Calls that take planted seconds by a planted clock: one of each file, and then the next."""

    def __init__(self, seconds: Iterator[float], first: float = 1.0) -> None:
        self.now = 0.0
        self.seconds, self.first = seconds, first
        self.taken: list[bytes] = []
        self.started: list[float] = []

    def once(self, content: bytes) -> float:
        self.started.append(self.now)
        taken = self.first if len(self.taken) < len(FILES) else next(self.seconds)
        self.taken.append(content)
        self.now += taken
        return taken

    def warm_up(self, max_seconds: float) -> bool:
        return of_files(self.once, FILES, TOLERANCE, max_seconds, lambda: self.now)


def falling(share: float, noise: Callable[[], float] = lambda: 1.0) -> Iterator[float]:
    """Yield seconds that fall by a share with each call, to a hundredth of the first at least."""
    seconds = 1.0
    while True:
        yield seconds * noise()
        seconds = max(seconds * (1 - share), 0.01)


@pytest.mark.parametrize("call", [0.001, 0.02, 0.2, 5.0])
@pytest.mark.parametrize("limit", [0.0, 0.02, 0.24, 2.0])
@pytest.mark.parametrize("trend", [0.0, 0.05, -0.05])
def test_no_call_starts_after_the_limit(call: float, limit: float, trend: float) -> None:
    calls = Calls((call * seconds for seconds in falling(trend)), first=call)
    calls.warm_up(limit)
    assert calls.started[0] == 0
    assert all(moment < limit for moment in calls.started[1:])


def test_slow_files_are_no_whole_pass_and_are_not_called_cold() -> None:
    calls = Calls(repeat(0.2), first=0.2)
    assert calls.warm_up(0.24)
    assert calls.taken == FILES[:2]
    calls = Calls(repeat(0.2), first=0.2)
    assert calls.warm_up(0.0)
    assert calls.taken == FILES[:1]


def test_each_file_is_taken_once_and_the_windows_are_of_one_file() -> None:
    calls = Calls(iter([4.0, 2.0, 1.0, 1.0]))
    assert calls.warm_up(20.0)
    assert calls.taken == [*FILES, *FILES[:1] * 4]
    calls = Calls(iter([4.0, 2.0, 2.5]))  # no direction any more
    assert calls.warm_up(20.0)
    assert calls.taken == [*FILES, *FILES[:1] * 3]


def test_windows_of_fast_files_are_of_many_calls() -> None:
    calls = Calls(repeat(0.001), first=0.001)
    assert calls.warm_up(2.0)
    assert 2 * 49 <= len(calls.taken) - len(FILES) <= 2 * 51


def test_calls_that_still_become_faster_are_cold() -> None:
    assert not Calls(falling(0.05)).warm_up(10.0)
    # Fewer windows than six tell no direction.
    calls = Calls(falling(0.2))
    assert calls.warm_up(4 + 3.0)
    assert len(calls.taken) - len(FILES) == LEAST_WINDOWS - 1


@pytest.mark.parametrize(
    ("last", "count", "is_marked"),
    [(0.97, 6, True), (0.99, 6, False), (1.03, 6, False), (0.97, 5, False), (0.97, 9, True)],
)
def test_only_a_last_window_that_is_faster_is_cold(
    last: float, count: int, *, is_marked: bool
) -> None:
    assert is_cold([*[2.0] * (count - 2), 1.0, last], TOLERANCE) == is_marked


def test_calls_that_become_slower_are_not_cold() -> None:
    assert Calls(falling(-0.05)).warm_up(15.0)


@pytest.mark.parametrize("noise", [0.02, 0.03, 0.05, 0.3])
@pytest.mark.parametrize("windows", [6, 8, 20])
def test_noise_seldom_marks_a_row_of_five_processes(noise: float, windows: int) -> None:
    rng, rows = np.random.default_rng(0), 1000
    marked = 0
    for _ in range(rows):
        calls = [
            Calls(iter(np.exp(noise * rng.normal(size=2 * windows + 20)).tolist()))
            for _ in range(5)
        ]
        marked += not all(one.warm_up(4.0 + windows) for one in calls)
    assert marked / rows < 0.02


@pytest.mark.parametrize("noise", [0.02, 0.03, 0.05])
def test_a_trend_within_noise_marks_a_row_of_five_processes(noise: float) -> None:
    rng, rows = np.random.default_rng(0), 200
    marked = 0
    for _ in range(rows):
        seconds = [falling(0.15, lambda: float(np.exp(noise * rng.normal()))) for _ in range(5)]
        marked += not all(Calls(one).warm_up(4.0 + 4.5) for one in seconds)
    assert marked / rows > 0.95
