"""A lock on the run that this process trains: two trainings in one folder would mix their files."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from src.errors import UsageError
from src.run.folder import Run
from src.system import file_locks

_held: set[int] = set()  # descriptors of this process


class RunLock:
    """Holds a lock on the folder of a run until the block ends, or the process.

    The folder itself is locked, so that there is no file for it. On a file system without such
    locks, as NFS, every run is taken for free.
    """

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            _held.discard(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def take(self, run: Run) -> None:
        """Lock a run.

        Raises:
            UsageError: another process trains it.
        """
        descriptor = os.open(run.folder, os.O_RDONLY | os.O_CLOEXEC)
        if not file_locks.take_exclusive(descriptor):
            os.close(descriptor)
            raise UsageError(
                "ckpt_path",
                expected="a run that no other process trains",
                found=f"{run.folder}, which is being trained, exported or measured",
                remedy="wait until that has ended, or name another run by ckpt_path=FOLDER",
            )
        _held.add(descriptor)
        self._descriptor = descriptor


def _close_in_child() -> None:
    """Close the copies in a forked process: it would hold the lock after the training's end."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_close_in_child)
