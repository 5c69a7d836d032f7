"""A lock that is waited for, with and without locks in the file system."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest

from src.system import waiting_lock


def test_who_has_to_wait_says_so_and_goes_on_afterwards(tmp_path: Path) -> None:
    events: list[str] = []
    waits = threading.Event()

    def on_wait() -> None:
        events.append("waits")
        waits.set()

    def second() -> None:
        with waiting_lock.held(tmp_path / "x.lock", on_wait):
            events.append("second")

    with waiting_lock.held(tmp_path / "x.lock", lambda: events.append("first waits")):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(60)
        events.append("first ends")
    thread.join(60)
    assert events == ["waits", "first ends", "second"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EINVAL])
def test_without_locks_nobody_waits_and_nobody_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    waited: list[str] = []
    with (
        waiting_lock.held(tmp_path / "x.lock", lambda: waited.append("first")),
        waiting_lock.held(tmp_path / "x.lock", lambda: waited.append("second")),
    ):
        pass
    assert waited == []
