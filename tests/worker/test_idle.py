"""A process is idle if it uses no CPU for a while, and not by chance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from src.worker import idle

SECOND_OF_WORK = 1.0  # far more than a look lasts


def clock_of(used: Iterator[float]) -> Iterator[float]:
    """Yield the CPU time before and after each look."""
    total = 0.0
    for seconds in used:
        yield total
        total += seconds
        yield total


@pytest.mark.parametrize(
    ("used", "is_idle"),
    [
        (repeat(0.0), True),
        (repeat(SECOND_OF_WORK), False),
        (chain([SECOND_OF_WORK] * 3, repeat(0.0)), True),
        # It spins, and the machine let it wait during every second look.
        (chain.from_iterable(repeat([0.0, SECOND_OF_WORK])), False),
    ],
)
def test_a_thread_that_spins_and_does_not_run_for_a_moment_is_not_idle(
    used: Iterator[float], is_idle: bool
) -> None:
    ticks = clock_of(used)
    assert idle.wait_until_idle(lambda: next(ticks), check_seconds=0.001) is is_idle
