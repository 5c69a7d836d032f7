from __future__ import annotations

import os
from pathlib import Path

import pytest

from src.benchmark.environment import interference
from src.benchmark.environment.interference import Observation
from src.run.latency import Disturbance

# user nice system idle iowait irq softirq steal, in ticks of 10 ms
BEFORE = """cpu  0 0 0 0 0 0 0 0 0 0
cpu0 100 0 10 500 0 0 0 5 0 0
cpu1 200 0 20 500 0 0 0 5 0 0
cpu2 900 0 90 500 0 0 0 0 0 0
intr 1
"""
AFTER = """cpu  0 0 0 0 0 0 0 0 0 0
cpu0 180 0 20 510 0 0 0 15 0 0
cpu1 260 0 30 530 0 0 0 5 0 0
cpu2 999 0 99 500 0 0 0 99 0 0
intr 1
"""


@pytest.fixture(autouse=True)
def _ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sysconf", lambda _: 100)
    monkeypatch.setattr("src.system.machine.frequency_hz", lambda: None)


def test_cpu_time_of_others_is_separated_from_the_measurements_own() -> None:
    before = Observation.parse(BEFORE, {0, 1}, at=10.0)
    after = Observation.parse(AFTER, {0, 1}, at=11.0)
    # 0.9 + 0.7 s busy on the usable cores, of which 1.2 s are the measurement's own.
    seen = before.until(after, own_seconds=1.2, threads=2)
    assert seen.other_cores == pytest.approx(0.4)
    assert seen.steal_share == pytest.approx(0.1 / 2)
    assert seen.causes() == ["steal", "busy"]


def test_a_quiet_turn_has_no_causes() -> None:
    before = Observation.parse(BEFORE, {0, 1}, at=10.0)
    seen = before.until(Observation.parse(BEFORE, {0, 1}, at=11.0), own_seconds=0.3, threads=2)
    assert Disturbance.over([seen]).other_cores == 0
    assert seen.causes() == []


def observed(busy: float, steal: float, cores: int, at: float) -> Observation:
    return Observation(at, busy, steal, cores)


@pytest.mark.parametrize(
    ("others", "threads", "cores", "is_busy"),
    [
        (0.1, 2, 2, False),  # hardly anything
        (0.2, 2, 2, True),  # a thread on each core
        (0.2, 1, 2, True),  # the other core may be a thread of the same one
        (0.2, 1, 4, False),
        (0.7, 1, 2, True),
        (20.0, 4, 64, False),  # a container with a quota, or a large machine
        (27.9, 4, 64, False),
        (28.1, 4, 64, True),
        (20.0, 64, 64, True),
        (20.0, None, 64, True),  # unknown
    ],
)
def test_others_interrupt_only_where_they_and_the_threads_do_not_fit(
    others: float, threads: int | None, cores: int, is_busy: bool
) -> None:
    before = observed(100.0, 5.0, cores, at=10.0)
    after = observed(100.0 + others + 1.0, 5.0, cores, at=11.0)
    seen = before.until(after, 1.0, threads)
    assert seen.other_cores == pytest.approx(others)
    together = Disturbance.over([seen, seen])
    for one in (seen, together):
        assert (one.causes() == ["busy"]) is is_busy
        assert one.interrupts() is is_busy


@pytest.mark.parametrize(
    ("own", "others", "stolen", "share"),
    [
        (4.0, 0.0, 0.2, 0.2 / 4.2),  # of the cores in use, not of 64
        (4.0, 56.0, 0.6, 0.6 / 60.6),  # mostly from the others
        (0.0, 0.0, 0.01, 0.01 / 4),  # a tick while nothing ran
    ],
)
def test_stolen_time_is_a_share_of_the_cores_in_use(
    own: float, others: float, stolen: float, share: float
) -> None:
    before = observed(100.0, 5.0, 64, at=10.0)
    after = observed(100.0 + own + others, 5.0 + stolen, 64, at=11.0)
    assert before.until(after, own, threads=4).steal_share == pytest.approx(share)


def test_turns_of_an_earlier_version_are_judged_by_the_load_of_others_alone() -> None:
    known = observed(0.0, 0.0, 64, at=0.0).until(observed(9.0, 0.0, 64, at=1.0), 1.0, threads=4)
    assert known.causes() == []
    unknown = disturbance(1.0, 0.0, 8.0, None)
    assert unknown.causes() == ["busy"]
    assert Disturbance.over([known, unknown]).causes() == ["busy"]


def disturbance(
    seconds: float, steal_share: float, other_cores: float, frequency_hz: float | None
) -> Disturbance:
    return Disturbance(
        seconds=seconds,
        steal_share=steal_share,
        other_cores=other_cores,
        frequency_hz=frequency_hz,
    )


def test_rounding_of_the_counters_on_many_cores_is_not_taken_for_other_processes() -> None:
    # 64 cores count in ticks: each turn is off by up to 0.3 cores, one way or the other.
    turns = [disturbance(0.1, 0.0, other, None) for other in (0.3, -0.3, 0.2, -0.2, 0.1, -0.1)]
    together = Disturbance.over(turns)
    assert together.other_cores == pytest.approx(0.0)
    assert together.causes() == []


def test_turns_together_are_weighted_by_their_length() -> None:
    short = disturbance(1.0, 0.0, 0.0, 2e9)
    long = disturbance(3.0, 0.1, 0.4, 3e9)
    both = Disturbance.over([short, long])
    assert both.seconds == 4.0
    assert both.steal_share == pytest.approx(0.075)
    assert both.other_cores == pytest.approx(0.3)
    assert both.frequency_spread == pytest.approx(0.4)
    assert both.causes() == ["steal", "busy", "clock"]


@pytest.mark.parametrize(
    ("text", "busy"),
    [
        ("cpu  9 9 9\ncpu0 100 0 100 5 5 0 0 0 0 0\n", 200),
        ("cpu0 100 0 100\n", 200),
        ("cpu0 100 0 100 5 5 0 0\n", 200),
        ("", 0),
        ("cpu1 100 0 100 5 5 0 0 0\n", 0),
        ("cpu0 many\n", None),
        (None, None),
    ],
)
def test_counters_of_any_kernel_or_sandbox_are_read_or_left_out(
    text: str | None, busy: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interference, "_STAT", tmp_path / "stat")
    monkeypatch.setattr("src.system.machine.usable_core_numbers", lambda: {0})
    if text is not None:
        (tmp_path / "stat").write_text(text)
    observation = Observation.now()
    if busy is None:
        assert observation is None
    else:
        assert observation is not None
        assert observation.busy == pytest.approx(busy / os.sysconf("SC_CLK_TCK"))
