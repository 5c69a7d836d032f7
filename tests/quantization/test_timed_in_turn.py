"""Files that are timed in turn, on a simulated machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from src.quantization import evaluation
from src.quantization.evaluation import speedup_in_turn

IMAGE = np.zeros((1, 3, 2, 2), np.float32)
PERIOD = 0.100  # seconds


class Machine:
    """A clock of a virtual machine that may use its processors for a part of each period only.

    Args:
        share: the part.
        jitter: relative standard deviation of the work of a call.
    """

    def __init__(self, share: float, jitter: float) -> None:
        self.now = 0.0
        self._quota = share * PERIOD
        self._jitter = jitter
        self._random = np.random.default_rng(0)

    def perf_counter(self) -> float:
        return self.now

    def file(self, seconds: float) -> Any:
        """Return a fake runtime whose call is work of so many seconds."""

        def call(_: object) -> None:
            left = seconds * (1 + self._jitter * abs(self._random.standard_normal()))
            while left > 0:
                start = self.now // PERIOD * PERIOD
                done = min(left, max(0.0, start + self._quota - self.now))
                left -= done
                self.now = self.now + done if left <= 0 else start + PERIOD * (1 + 1e-9)

        return call


@pytest.mark.parametrize("share", [0.4, 0.5, 0.6, 0.75])
@pytest.mark.parametrize("seconds", [0.002, 0.008, 0.011, 0.016, 0.020, 0.031])
def test_a_machine_that_pauses_in_each_tenth_of_a_second_misleads_by_an_eighth_at_most(
    monkeypatch: pytest.MonkeyPatch, share: float, seconds: float
) -> None:
    """The pauses may stay in step with the turns: the median of ratios was up to 2.7 times off."""
    machine = Machine(share, jitter=0.02)
    monkeypatch.setattr(evaluation, "time", machine)
    speedup = speedup_in_turn(machine.file(seconds), machine.file(1.2 * seconds), IMAGE)
    assert speedup == pytest.approx(1.2, rel=0.125)


def test_a_steady_machine_needs_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(share=1.0, jitter=0.02)
    monkeypatch.setattr(evaluation, "time", machine)
    assert speedup_in_turn(machine.file(0.010), machine.file(0.011), IMAGE) == pytest.approx(
        1.1, rel=0.01
    )
    assert 2 < machine.now < 3.5


def test_noise_prolongs_the_timing_to_ten_seconds_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(share=1.0, jitter=1.0)
    monkeypatch.setattr(evaluation, "time", machine)
    assert speedup_in_turn(machine.file(0.010), machine.file(0.012), IMAGE) == pytest.approx(
        1.2, rel=0.08
    )
    assert 10 < machine.now < 12


def test_the_pairs_of_fast_files_are_few_enough_for_the_means_of_all_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = []
    middle = evaluation._middle
    monkeypatch.setattr(
        evaluation, "_middle", lambda each: counts.append(len(each)) or middle(each)
    )
    machine = Machine(share=1.0, jitter=1.0)
    monkeypatch.setattr(evaluation, "time", machine)
    speedup = speedup_in_turn(machine.file(0.00001), machine.file(0.00002), IMAGE)
    assert speedup == pytest.approx(2, rel=0.03)
    assert max(counts) <= 1000
