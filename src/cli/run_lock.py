"""A lock on the run that this process trains: two trainings in one folder would mix their files."""

from __future__ import annotations

from src.errors import UsageError
from src.run.folder import Run
from src.system.folder_lock import FolderLock


class RunLock(FolderLock):
    """Holds a lock on the folder of a run until the block ends, or the process."""

    def take(self, run: Run) -> None:
        """Lock a run.

        Raises:
            UsageError: another process trains it.
        """
        if not self.try_take(run.folder):
            raise UsageError(
                "ckpt_path",
                expected="a run that no other process trains",
                found=f"{run.folder}, which is being trained, exported or measured",
                remedy="wait until that has ended, or name another run by ckpt_path=FOLDER",
            )
