"""Time, time limits and the record of a twin while it is made."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from src.run.twin import Twin
from src.twin import time_limit
from src.twin.account import Account
from src.twin.distillation import Distillation
from src.twin.time_limit import TimeLimit
from tests.twin.planted import record


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time_limit.time, "monotonic", clock)
    return clock


def test_seconds_are_those_of_all_commands_each_once() -> None:
    clock, written = Clock(), list[Twin]()
    account = Account(record(seconds=60.0), written.append, clock)
    clock.now += 100
    account.note()
    clock.now += 40
    account.note(reason=None)
    assert [each.seconds for each in written] == [160.0, 200.0]
    again = Account(written[-1], written.append, clock)
    clock.now += 5
    again.note()
    assert written[-1].seconds == 205.0
    assert (written[-1].peak_rss_bytes or 0) > 0


def test_a_stopped_training_leaves_its_time() -> None:
    clock, written = Clock(), list[Twin]()
    account = Account(record(), written.append, clock)
    with (
        pytest.raises(KeyboardInterrupt),
        account.noting(lambda: {"spent_s": {"distillation": 7.0}}),
    ):
        raise KeyboardInterrupt
    assert written[-1].spent_s == {"distillation": 7.0}


def test_a_full_disk_does_not_hide_the_first_error() -> None:
    def write(_: Twin) -> None:
        raise OSError("no space left")

    account = Account(record(), write)
    with pytest.raises(KeyError), account.noting(dict):
        raise KeyError("first")


def test_the_time_of_earlier_commands_counts(clock: Clock) -> None:
    limit = TimeLimit(100.0, spent=40.0)
    limit.start()
    clock.now += 30
    assert (limit.spent, limit.share) == (70.0, 0.7)
    clock.now += 100
    assert limit.share == 1.0
    assert TimeLimit(None, 40.0).share == 0.0
    assert TimeLimit(-3.0).share == 1.0


def test_the_learning_rate_falls_with_the_time_if_that_runs_out_first(clock: Clock) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    limit = TimeLimit(100.0)
    module = Distillation(network, network, 3, 1000, 0.1, limit=limit)
    limit.start()
    assert module.rate(100) == pytest.approx(1.0)
    clock.now += 55  # the middle of the cosine, which begins after a tenth
    assert module.rate(100) == pytest.approx(0.5)
    clock.now += 45
    assert module.rate(100) == pytest.approx(0.0, abs=1e-12)
    assert module.rate(1000) == pytest.approx(0.0, abs=1e-12)
    assert torch.isfinite(torch.tensor(module.rate(0)))
