"""The line about the container says where its quota stops the measured threads."""

from __future__ import annotations

import pytest

from src.report.sections import environment
from tests.report.pages import record
from tests.report.planted import results, row


@pytest.mark.parametrize(
    ("cores", "threads", "line"),
    [
        (None, 2, "no limits seen"),
        (2.0, 2, "2 cores"),
        (8.0, 2, "8 cores"),
        (1.5, 1, "1.5 cores"),
        (1.5, 2, "1.5 cores; 2 threads are throttled"),
        (0.5, 1, "0.5 cores; 1 thread is throttled"),
        (2.0, 16, "2 cores; 16 threads are throttled"),
    ],
)
def test_a_quota_below_the_threads_is_told_with_its_effect(
    cores: float | None, threads: int, line: str
) -> None:
    measured = results(row("eager"))
    measured["environment"] |= {
        "container": {"cores": cores, "memory_bytes": None},
        "threads": threads,
        "usable_cores": 16,
        "machine_cores": 16,
    }
    facts = {fact.name: fact.text for fact in environment.facts(record(measured))}
    assert facts["Container"] == line
