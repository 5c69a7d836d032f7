"""A command that writes into a run refuses one that cannot be written, before it does its work."""

from __future__ import annotations

from src.errors import UsageError
from src.run.folder import Run
from src.system import writable_folder


def require_writable(run: Run) -> None:
    """Refuse a run in which no file can be made: on a read-only disk, or of another user.

    Otherwise a measurement of many minutes would be lost at its end.

    Raises:
        UsageError: the folder, or one of those in it that stages write to, cannot be written.
    """
    for folder in (run.folder, run.exports, run.measurements):
        reason = writable_folder.refusal(folder) if folder.is_dir() else None
        if reason is not None:
            raise UsageError(
                "RUN",
                expected="a run that can be written",
                found=f"{folder} ({reason})",
                remedy="copy the run to another folder and name that, or change its permissions",
            )
