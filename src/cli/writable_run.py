"""A command that writes into a run refuses one that cannot be written, before it does its work."""

from __future__ import annotations

from pathlib import Path

from src.errors import UsageError
from src.run.folder import Run
from src.system import writable_folder


def require_writable(run: Run, *folders: Path) -> None:
    """Refuse a run in which no file can be made: on a read-only disk, or of another user.

    Otherwise a measurement of many minutes would be lost at its end.

    Args:
        run: the run, whose own folder every command writes to.
        folders: those in the run that the command writes to; of one that is not there yet, the
            folder counts that it will be made in.

    Raises:
        UsageError: one of the folders cannot be written.
    """
    present = (_present(folder, run.folder) for folder in folders)
    for folder in dict.fromkeys((run.folder, *present)):
        reason = writable_folder.refusal(folder)
        if reason is not None:
            raise UsageError(
                "RUN",
                expected="a run that can be written",
                found=f"{folder} ({reason})",
                remedy="copy the run to another folder and name that, or change its permissions",
            )


def card_folders(run: Run) -> list[Path]:
    """Return the folders of the exported formats, in each of which a report writes a card."""
    if not run.manifest.is_file():
        return []
    folders = (run.exports / name for name in run.read_manifest().exported)
    return [folder for folder in folders if folder.is_dir()]


def _present(folder: Path, top: Path) -> Path:
    """Return a folder in ``top``, or the nearest one around it that is there."""
    while folder != top and not folder.is_dir():
        folder = folder.parent
    return folder
