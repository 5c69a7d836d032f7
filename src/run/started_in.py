"""The folder that a training was started in. Relative paths of its options refer to it."""

from __future__ import annotations

import os
from pathlib import Path

from src.run.folder import Run
from src.system import atomic_files
from src.system.paths import user_path


def note(run: Run, folder: Path) -> None:
    """Store the folder that the training was started in, as a path relative to the run."""
    relative = os.path.relpath(folder, run.folder)
    atomic_files.write_bytes(run.started_in_file, os.fsencode(relative) + b"\n")


def recorded(run: Run) -> Path | None:
    """Return the folder that the training was started in; None if it was not stored."""
    if not run.started_in_file.is_file():
        return None
    relative = os.fsdecode(run.started_in_file.read_bytes().rstrip(b"\n"))
    return Path(os.path.normpath(run.folder / relative))


def find(run: Run, path: str) -> Path:
    """Return the path that an option's ``path`` meant in the training, from any working folder.

    A relative path is below the folder that the training was started in. If it does not exist
    there, for example because only the run was copied, it is searched below the folder that holds
    the logs, then below the working folder.
    """
    bases = [run.folder.parent.parent.parent, Path.cwd()]
    if folder := recorded(run):
        bases.insert(0, folder)
    paths = [base / user_path(path) for base in bases]  # an absolute path ignores the base
    return next((candidate for candidate in paths if candidate.exists()), paths[0])
