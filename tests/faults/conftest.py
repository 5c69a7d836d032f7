"""Fixture of the fuzz tests: a time limit, and a check that no foreign code was called."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.support import canary


@pytest.fixture
def no_hang_and_no_call() -> Iterator[None]:
    def time_out(*_: object) -> None:
        raise TimeoutError("an input takes a minute")

    before = signal.signal(signal.SIGALRM, time_out)
    canary.calls.clear()
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    assert not canary.calls
