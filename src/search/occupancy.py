"""Locks of a search: one of its folder, and one of each candidate that is trained.

A command that is killed leaves its training behind, which goes on to its rung. Two processes must
not train in one run, and nothing is measured beside a training, so the next command waits for it.
A training on another machine cannot inherit the lock of the folder, so it has one of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.system import file_locks
from src.system.console import Report

LOCK = "search.lock"
TRAINING_LOCK = "training.lock"


@contextmanager
def occupied(folder: Path, report: Report) -> Iterator[int]:
    """Wait until nobody else works in the folder, and yield a descriptor with a lock on it.

    Every process that inherits the descriptor holds the lock until its end. On a file system
    without locks there is no waiting.

    Args:
        folder: of the search.
        report: gets a line if another process has to be waited for.
    """
    descriptor = _opened(folder / LOCK)
    try:
        if not file_locks.try_lock_exclusive(descriptor):
            report(_waiting(folder))
            file_locks.lock_exclusive(descriptor)
        wait_for_trainings(folder, report)
        yield descriptor
    finally:
        os.close(descriptor)


def wait_for_trainings(folder: Path, report: Report) -> None:
    """Wait until nobody trains a candidate, as after a worker or a machine was lost.

    On a file system without locks there is no waiting.

    Args:
        folder: of the search.
        report: gets a line if a training has to be waited for.
    """
    for path in sorted(folder.glob(f"candidates/*/{TRAINING_LOCK}")):
        training = _opened(path)
        try:
            if not file_locks.try_lock_exclusive(training):
                report(_waiting(folder))
                file_locks.lock_exclusive(training)
        finally:
            os.close(training)


def _waiting(folder: Path) -> str:
    return f"waiting for another search in {folder}, or for a training that one left"


@contextmanager
def held_for_training(root: Path) -> Iterator[int]:
    """Wait until nobody else trains a candidate, and yield a descriptor with a lock on it.

    Args:
        root: folder of the candidate's runs. It is made if it is missing.
    """
    root.mkdir(parents=True, exist_ok=True)
    descriptor = _opened(root / TRAINING_LOCK)
    try:
        file_locks.lock_exclusive(descriptor)
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
