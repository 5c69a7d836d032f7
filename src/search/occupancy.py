"""Locks of a search: one of its folder, and one of each candidate that is trained.

A command that is killed leaves its training behind, which goes on to its rung. Two processes must
not train in one run, and nothing is measured beside a training, so the next command waits for it.
A training on another machine cannot inherit the lock of the folder, so it has one of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.system import lock_holders, waiting_lock
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
    lock = folder / LOCK
    with waiting_lock.held(lock, functools.partial(_tell, report, folder, lock)) as descriptor:
        wait_for_trainings(folder, report)
        yield descriptor


def wait_for_trainings(folder: Path, report: Report) -> None:
    """Wait until nobody trains a candidate, as after a worker or a machine was lost.

    On a file system without locks there is no waiting.

    Args:
        folder: of the search.
        report: gets a line if a training has to be waited for.
    """
    for path in sorted(folder.glob(f"candidates/*/{TRAINING_LOCK}")):
        with waiting_lock.held(path, functools.partial(_tell, report, folder, path)):
            pass


def _tell(report: Report, folder: Path, lock: Path) -> None:
    holders = lock_holders.in_words(lock)
    report(f"waiting for another search in {folder}, or for a training that one left{holders}")


@contextmanager
def held_for_training(root: Path) -> Iterator[int]:
    """Wait until nobody else trains a candidate, and yield a descriptor with a lock on it.

    Args:
        root: folder of the candidate's runs. It is made if it is missing.
    """
    root.mkdir(parents=True, exist_ok=True)
    with waiting_lock.held(root / TRAINING_LOCK, _wait_silently) as descriptor:
        yield descriptor


def _wait_silently() -> None:
    """Say nothing: the command that starts trainings has said who is waited for."""
