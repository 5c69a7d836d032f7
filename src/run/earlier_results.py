"""The results that a run has when a command begins, which ``again=true`` makes anew.

A stopped command names the command that goes on. With ``again=true`` that one would discard what
the stopped one has made. Without it, an earlier result that still stands would be the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from src.errors import UsageError
from src.run import kept_rounds
from src.run.folder import Run
from src.run.twin_files import TwinFiles

Stage = Literal["twin", "export", "benchmark", "serve_test"]
_State = tuple[int, ...]  # of a file as it lies

# The files from which a command without again=true goes on, or that are its answer.
_FILES: dict[Stage, Callable[[Run], list[Path]]] = {
    "twin": lambda run: [run.twin_record, TwinFiles(run).unfinished_record],
    "export": lambda run: [run.manifest],
    "benchmark": lambda run: [run.benchmark, *kept_rounds.files(run)],
    "serve_test": lambda run: [run.serve_test],
}


class EarlierResults:
    """The results of a run at the time when this object is made.

    Args:
        run: the run, which may have none.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._before = {stage: _states(run, stage) for stage in _FILES}

    def stand(self, stage: Stage) -> bool:
        """Return True if a stage had a result, and no newer one has been begun in its place."""
        before, now = self._before[stage], _states(self._run, stage)
        return bool(before) and now <= before

    def are_replaced(self) -> bool:
        """Return True if a stage has begun or written a result since."""
        return any(_states(self._run, stage) - self._before[stage] for stage in _FILES)


def _states(run: Run, stage: Stage) -> set[_State]:
    states = (_state(run, path) for path in _FILES[stage](run))
    return {state for state in states if state is not None}


def _state(run: Run, path: Path) -> _State | None:
    """Return the state of a file, which each atomic write changes and a new name does not.

    Raw rounds count if they are complete: others are measured anew.
    """
    try:
        status = path.stat()
        if path in kept_rounds.files(run) and not run.read_rounds(path).complete:
            return None
    except (OSError, UsageError):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
