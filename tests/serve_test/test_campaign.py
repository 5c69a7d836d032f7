"""The search for the highest rate, on simulated servers with planted service times."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from src.run.serve_test import Configuration
from src.serve_test import setups as choices
from src.serve_test.bracket import Bracket
from src.serve_test.campaign import Campaign, Ending
from src.serve_test.choice import choose
from src.serve_test.options import ServeTestOptions
from src.serve_test.setups import Setup
from src.serve_test.state import State
from tests.serve_test.simulated import Opened

SERVICE = 0.01
LIMIT = 10 * SERVICE
PLAIN = Setup(1, 1, 0.0, 1)


def ignore(phase: str, detail: str = "", done: int = 0, total: int = 0) -> None:
    """Show no progress."""


def ending(
    states: Sequence[State],
    opened: Opened,
    *,
    runs: int = 3,
    max_seconds: float = 1e9,
    changed: Callable[[], None] = lambda: None,
    limit: float = LIMIT,
) -> Ending:
    return Campaign(
        states,
        opened,
        contextlib.nullcontext,
        samples=800,
        runs=runs,
        max_seconds=max_seconds,
        limit=limit,
        report=ignore,
        changed=changed,
    ).run()


def search(states: Sequence[State], opened: Opened, **options: Any) -> bool:
    """Return True if all is done."""
    return ending(states, opened, **options).is_complete


def true_rate(service: float, limit: float) -> float:
    """Return the rate at which the p99 of M/D/1 is the limit, by Lindley's recursion."""
    gaps = np.random.default_rng(0).exponential(size=400_000)
    low, high = 0.1 / service, 1 / service
    for _ in range(12):
        rate = (low + high) / 2
        walk = np.concatenate([[0.0], np.cumsum(service - gaps / rate)])
        waits = walk - np.minimum.accumulate(walk)
        low, high = (rate, high) if np.percentile(waits + service, 99) <= limit else (low, rate)
    return low


def test_the_highest_rate_is_that_of_the_queue_with_its_interval() -> None:
    state, opened = State(PLAIN), Opened(lambda images: SERVICE)
    assert search([state], opened, runs=5)
    highest = state.record().highest
    assert highest is not None
    expected = true_rate(SERVICE, LIMIT)
    assert highest.low < expected < highest.high
    assert highest.value == pytest.approx(expected, rel=0.08)
    assert (highest.processes, opened.running) == (5, 0)
    # Few probes: the first run has to find the rate, the later ones know about where it is.
    assert len(state.probes) <= 5 * 8
    assert all(probe.rate < 1.6 / SERVICE for probe in state.probes)


def test_a_server_of_half_the_speed_holds_half_the_rate() -> None:
    found = []
    for service in (SERVICE, 2 * SERVICE):
        state = State(PLAIN)
        assert search([state], Opened(lambda images, each=service: each), limit=10 * service)
        highest = state.record().highest
        assert highest is not None
        found.append(highest.value)
    assert found[0] / found[1] == pytest.approx(2, rel=0.001)


@pytest.mark.parametrize(
    ("seconds_of", "helps"),
    [
        (lambda images: 0.008 + 0.002 * images, True),  # most of a call is not paid twice
        (lambda images: 0.01 * images, False),
    ],
)
def test_batching_is_chosen_only_if_it_holds_measurably_more(
    seconds_of: Callable[[int], float], helps: bool
) -> None:
    states = [State(PLAIN), State(Setup(1, 1, 0.005, 8))]
    assert search(states, Opened(seconds_of))
    choice = choose([state.record() for state in states])
    assert choice.position == int(helps)
    assert choice.gain is not None
    assert (choice.gain.low > 2) if helps else (choice.gain.low < 1.05)


def test_two_streams_hold_about_twice_the_rate_of_one() -> None:
    states = [State(PLAIN), State(Setup(1, 2, 0.0, 1))]
    assert search(states, Opened(lambda images: SERVICE))
    one, two = (state.record().highest for state in states)
    assert one is not None
    assert two is not None
    assert 1.9 < two.value / one.value < 2.5


def stored(states: Sequence[State]) -> list[Configuration]:
    return [
        msgspec.json.decode(msgspec.json.encode(state.record()), type=Configuration)
        for state in states
    ]


def rounded(states: Sequence[State]) -> list[Configuration]:
    """Return the records with seconds that do not depend on where a simulated clock stood."""
    return [
        msgspec.structs.replace(
            record,
            probes=[
                msgspec.structs.replace(probe, seconds=round(probe.seconds, 6))
                for probe in record.probes
            ],
        )
        for record in stored(states)
    ]


@pytest.mark.parametrize("stop_after", [1, 9])
def test_a_killed_search_goes_on_and_ends_as_one_that_was_not(stop_after: int) -> None:
    setups = [PLAIN, Setup(1, 1, 0.005, 8)]

    def seconds_of(images: int) -> float:
        return 0.008 + 0.002 * images

    whole = [State(setup) for setup in setups]
    assert search(whole, Opened(seconds_of), runs=2)

    states = [State(setup) for setup in setups]

    def stop() -> None:
        if sum(len(state.probes) for state in states) >= stop_after:
            raise KeyboardInterrupt

    opened = Opened(seconds_of)
    with pytest.raises(KeyboardInterrupt):
        search(states, opened, runs=2, changed=stop)
    assert opened.running == 0
    resumed = [State.of(record) for record in stored(states)]
    assert sum(len(state.probes) for state in resumed) == stop_after
    assert search(resumed, Opened(seconds_of), runs=2)
    assert rounded(resumed) == rounded(whole)
    # All is known now, so nothing is measured and no process starts.
    again = Opened(seconds_of)
    finished = [State.of(record) for record in stored(resumed)]
    assert search(finished, again, runs=2)
    assert again.setups == []
    assert rounded(finished) == rounded(whole)


PAIR = (PLAIN, Setup(1, 1, 0.005, 8))


def batching(images: int) -> float:
    return 0.008 + 0.002 * images


@pytest.mark.parametrize("max_seconds", [150, 300])
def test_the_same_time_again_measures_nothing_and_keeps_every_run(max_seconds: float) -> None:
    states = [State(setup) for setup in PAIR]
    is_complete = search(states, Opened(batching), max_seconds=max_seconds)
    assert is_complete == (max_seconds >= 250)
    before = stored(states)
    for share in (1, 0.3):
        resumed, opened = [State.of(record) for record in before], Opened(batching)
        is_done = search(resumed, opened, max_seconds=share * max_seconds)
        assert is_done == is_complete or share < 1
        assert stored(resumed) == before
        assert opened.setups == []


def test_a_search_with_more_time_keeps_what_was_known_when_it_is_killed() -> None:
    states = [State(setup) for setup in PAIR]
    assert not search(states, Opened(batching), max_seconds=150)
    before = stored(states)
    assert [len(record.bounds) for record in before] == [3, 3]
    resumed = [State.of(record) for record in before]
    known = sum(len(state.probes) for state in resumed)

    def stop() -> None:
        if sum(len(state.probes) for state in resumed) > known:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(resumed, Opened(batching), max_seconds=1e9, changed=stop)
    for record, earlier in zip(stored(resumed), before, strict=True):
        assert [bounds.run for bounds in record.bounds] == [0, 1, 2]
        assert record.probes[: len(earlier.probes)] == earlier.probes
    # The rest needs few probes: no run begins anew.
    resumed = [State.of(record) for record in before]
    assert search(resumed, Opened(batching))
    for state in resumed:
        assert len(state.probes) <= 14
        assert all(bounds.failed <= 1.05 * bounds.held for bounds in state.bounds)


def test_fewer_runs_than_before_leave_the_others() -> None:
    state = State(PLAIN)
    assert search([state], Opened(batching))
    resumed = State.of(state.record())
    assert search([resumed], Opened(batching), runs=1)
    assert stored([resumed]) == stored([state])


def test_the_time_is_bounded_and_what_was_measured_is_kept() -> None:
    states = [State(PLAIN), State(Setup(1, 1, 0.005, 8))]
    assert not search(states, Opened(lambda images: SERVICE), max_seconds=60)
    total = sum(probe.seconds for state in states for probe in state.probes)
    assert 0 < total < 66
    assert states[0].probes


def test_every_configuration_gets_its_share_of_the_time() -> None:
    states = [State(Setup(1, 1, window, 8 if window else 1)) for window in (0.0, 0.002, 0.005)]
    search(states, Opened(lambda images: SERVICE), runs=1, max_seconds=150)
    assert all(state.bounds for state in states)


def test_a_generator_that_is_late_is_tried_again_and_then_named() -> None:
    state = State(PLAIN)
    assert not search([state], Opened(lambda images: SERVICE, lateness=0.01))
    record = state.record()
    assert [probe.verdict for probe in record.probes] == ["lagged"] * 3
    assert record.highest is None
    assert "load generator itself was late" in str(record.reason)
    # A later command tries again.
    assert State.of(record).probes == []


def test_a_call_that_is_longer_than_the_limit_is_no_rate() -> None:
    state = State(PLAIN)
    assert search([state], Opened(lambda images: SERVICE), limit=0.9 * SERVICE)
    assert (state.probes, state.record().highest) == ([], None)
    assert "a single call takes 10 ms" in str(state.reason)


def test_a_server_that_stalls_at_any_rate_holds_none() -> None:
    calls = iter(range(10**7))
    state = State(PLAIN)
    stalling = Opened(lambda images: 0.5 if next(calls) % 40 == 7 else SERVICE)
    assert search([state], stalling, limit=0.1)
    assert state.record().highest is None
    assert "no rate held" in str(state.reason)


def test_the_bracket_closes_on_a_known_rate_from_any_first_guess() -> None:
    for guess in (1.0, 90.0, 100.0, 101.0, 5000.0):
        bracket = Bracket(guess)
        while (rate := bracket.next_rate()) is not None:
            bracket.add(rate, holds=rate <= 100)
        assert bracket.held is not None
        assert bracket.failed is not None
        assert bracket.held <= 100 < bracket.failed
        assert bracket.failed / bracket.held <= 1.05


@pytest.mark.parametrize("max_seconds", [0.01, 20, 60, 150])
@pytest.mark.parametrize("setups", [[PLAIN], PAIR, [*PAIR, Setup(1, 2, 0.0, 1)]])
def test_the_time_limit_that_is_named_is_enough(
    setups: Sequence[Setup], max_seconds: float
) -> None:
    states = [State(setup) for setup in setups]
    is_complete, enough = ending(states, Opened(batching), max_seconds=max_seconds)
    assert is_complete == (enough is None)
    if enough is None:
        return
    assert enough > max_seconds
    resumed = [State.of(record) for record in stored(states)]
    assert ending(resumed, Opened(batching), max_seconds=enough) == (True, None)


def test_a_configuration_that_is_given_up_needs_no_more_time() -> None:
    late = Opened(lambda images: SERVICE, lateness=0.01)
    assert ending([State(PLAIN)], late) == (False, None)


def test_the_start_of_the_streams_takes_no_time_of_the_probes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_once, slow = State(PLAIN), State(PLAIN)
    assert search([at_once], Opened(batching), max_seconds=1e3)
    clock = itertools.count(step=1000)
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    assert search([slow], Opened(batching), max_seconds=1e3)
    assert stored([slow]) == stored([at_once])
    assert all(probe.seconds < 30 for probe in slow.probes)


@pytest.mark.parametrize("cores", [1, 2, 256, 300])
def test_the_default_number_of_streams_is_one_that_may_be_named(cores: int) -> None:
    tried = choices.setups(ServeTestOptions(windows=[0.0]), cores, mixes_batch=False)
    streams = [setup.streams for setup in tried]
    assert streams == ([1, min(cores, 256)] if cores > 1 else [1])
    ServeTestOptions(streams=streams)
    assert tried[0].threads == cores
