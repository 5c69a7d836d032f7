"""An exclusive lock on a file of its own, which is waited for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from src.system import file_locks


@contextmanager
def held(path: Path, on_wait: Callable[[], object]) -> Iterator[int]:
    """Wait for the lock, and yield a descriptor that holds it.

    Every process that inherits the descriptor holds the lock until its end. On a file system
    without locks there is no waiting.

    Args:
        path: of the file. It is made if it is missing.
        on_wait: is called if another process has to be waited for.

    Raises:
        OSError: the file cannot be made or locked; its name is in the error.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            if not file_locks.take_exclusive(descriptor):
                on_wait()
                file_locks.lock_exclusive(descriptor)
        except OSError as error:
            error.filename = error.filename or str(path)  # flock(2) knows a descriptor only
            raise
        yield descriptor
    finally:
        os.close(descriptor)
