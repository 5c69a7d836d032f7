"""A lock on the run that this command works in: two commands in one folder would mix their files.

A command that only reads a run takes no lock. It needs none of its own within a training, which
holds the lock until it has exported and measured.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from src.errors import UsageError
from src.run.folder import Run
from src.system.folder_lock import FolderLock


class RunLock(FolderLock):
    """Holds a lock on the folder of a run until the block ends, or the process."""

    def take(self, run: Run) -> None:
        """Lock a run for a training.

        Raises:
            UsageError: another process works in it.
        """
        self._take(
            run,
            "ckpt_path",
            "a run that no other process trains",
            "wait until that has ended, or name another run by ckpt_path=FOLDER",
        )

    @classmethod
    @contextlib.contextmanager
    def held(cls, run: Run) -> Iterator[None]:
        """Lock a run for a stage that runs alone, within the block.

        Raises:
            UsageError: another process works in it.
        """
        with cls() as lock:
            lock._take(
                run,
                "RUN",
                "a run that no other command works in",
                "wait until that has ended, or stop it; then run the command again",
            )
            yield

    def _take(self, run: Run, argument: str, expected: str, remedy: str) -> None:
        if not self.try_take(run.folder):
            found = f"{run.folder}, which is being trained, exported or measured"
            raise UsageError(argument, expected=expected, found=found, remedy=remedy)
