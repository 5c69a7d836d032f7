"""The lock of a search's folder, which its trainings hold as well.

A command that is killed leaves its training behind, which goes on to its rung. Two processes must
not train in one run, so the next command waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.system import file_locks
from src.system.console import Report

LOCK = "search.lock"


@contextmanager
def occupied(folder: Path, report: Report) -> Iterator[int]:
    """Wait until nobody else works in the folder, and yield a descriptor with a lock on it.

    Every process that inherits the descriptor holds the lock until its end. On a file system
    without locks there is no waiting.

    Args:
        folder: of the search.
        report: gets a line if another process has to be waited for.
    """
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        if not file_locks.try_lock_exclusive(descriptor):
            report(f"waiting for another search in {folder}, or for a training that one left")
            file_locks.lock_exclusive(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)
