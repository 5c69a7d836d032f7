"""Runs of a reader on many seeded inputs; it must accept each or refuse it in one line."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable

import pytest

from src.errors import LightshipError

TIMEOUT_SECONDS = 60  # for one input: detects a hang, measures nothing

MANY = pytest.param(10_000, marks=pytest.mark.faults)


def is_accepted(read: Callable[[], object]) -> bool:
    """Return True if ``read`` accepts its input; a refusal must be one line."""
    signal.alarm(TIMEOUT_SECONDS)
    refusal = None
    try:
        read()
    except LightshipError as error:
        refusal = str(error)
    finally:
        signal.alarm(0)
    assert refusal is None or (refusal and "\n" not in refusal)
    return refusal is None


def share_accepted(count: int, read: Callable[[random.Random], object]) -> float:
    """Return the accepted share of ``count`` seeded inputs; an error names its seed."""
    accepted = 0
    for seed in range(count):
        try:
            accepted += is_accepted(lambda seed=seed: read(random.Random(seed)))
        except Exception as error:
            error.add_note(f"the input of seed {seed}")
            raise
    return accepted / count
