"""The folder that a training was started in, which the relative paths of its options are of."""

from __future__ import annotations

import os
from pathlib import Path

from src.run.folder import Run
from src.system import atomic_files
from src.system.paths import user_path


def note(run: Run, folder: Path) -> None:
    """Note that the training was started in ``folder``, as a path relative to the run."""
    relative = os.path.relpath(folder, run.folder)
    atomic_files.write_bytes(run.started_in_file, os.fsencode(relative) + b"\n")


def find(run: Run, path: str) -> Path:
    """Return the file that an option's ``path`` meant in the training.

    A relative one is below the folder that the training was started in. Where it is not there, as
    in a run that was copied alone, it is looked for below the folder that holds the logs, and
    below the working folder.
    """
    bases = [run.folder.parent.parent.parent, Path.cwd()]
    if run.started_in_file.is_file():
        relative = os.fsdecode(run.started_in_file.read_bytes().rstrip(b"\n"))
        bases.insert(0, Path(os.path.normpath(run.folder / relative)))
    places = [base / user_path(path) for base in bases]  # an absolute path is of no base
    return next((place for place in places if place.exists()), places[0])
