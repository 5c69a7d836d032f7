"""Memory of a limited program and of its children."""

from __future__ import annotations

import pytest

from src.system import limited_process
from src.system.limited_process import LimitedProcessError, run_limited


def test_memory_over_the_limit_at_a_single_look_is_that_of_a_child_that_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = iter([0, 10**12, 0, 10**12])
    monkeypatch.setattr(limited_process, "resident_bytes", lambda _: next(looks, 0))
    assert run_limited(["sh", "-c", "exec sleep 0.4"], seconds=30, max_bytes=10**9) == ""


def test_memory_over_the_limit_at_two_looks_ends_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limited_process, "resident_bytes", lambda _: 10**12)
    with pytest.raises(LimitedProcessError, match=r"1000\.0 GB resident, over 1\.0 GB; killed"):
        run_limited(["sh", "-c", "exec sleep 60"], seconds=30, max_bytes=10**9)
