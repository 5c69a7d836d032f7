"""A lock of the folder of a forecast.

Two commands that write one ``forecast.json`` would lose figures, and each would measure beside the
other. A search uses the folder as well, and holds the lock while it trains and measures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.system import lock_holders, waiting_lock
from src.system.console import Report

LOCK = "forecast.lock"


@contextmanager
def alone_in(folder: Path, report: Report) -> Iterator[int]:
    """Wait until no other command uses the forecast, and yield a descriptor with a lock on it.

    Every process that inherits the descriptor holds the lock until its end. On a file system
    without locks there is no waiting.

    Args:
        folder: of the forecast.
        report: gets a line if another process has to be waited for.
    """
    lock = folder / LOCK

    def wait() -> None:
        holders = lock_holders.in_words(lock)
        report(f"waiting for another forecast or search that uses {folder}{holders}")

    with waiting_lock.held(lock, wait) as descriptor:
        yield descriptor
