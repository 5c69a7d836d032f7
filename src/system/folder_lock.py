"""A lock on a folder that this process works in: two commands in one would mix their files."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from src.system import file_locks

# Environment variable of a command that a process runs as a part of its own: the folder whose lock
# that process holds for it.
HELD_BY_PARENT = "LIGHTSHIP_HELD_FOLDER"

_held: set[int] = set()  # descriptors of this process


class FolderLock:
    """Holds a lock on a folder until the block ends, or the process.

    The folder itself is locked, so that there is no file for it. On a file system without such
    locks, as NFS, every folder is taken for free.
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

    def try_take(self, folder: Path) -> bool:
        """Lock a folder. Return False if another process holds its lock, but not for this one."""
        if os.environ.get(HELD_BY_PARENT) == str(folder):
            return True
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        if not file_locks.take_exclusive(descriptor):
            os.close(descriptor)
            return False
        _held.add(descriptor)
        self._descriptor = descriptor
        return True


def _close_in_child() -> None:
    """Close the copies in a forked process: it would hold the lock after the command's end."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_close_in_child)
