"""A test of whether a folder can be written, before work whose result belongs there."""

from __future__ import annotations

from pathlib import Path

from src.system import partial_files


def refusal(folder: Path) -> str | None:
    """Return the system's reason why no file can be made in a folder; None if one can.

    Only an attempt tells: permissions do not show a disk that is mounted read-only, and the root
    account ignores them.
    """
    try:
        with partial_files.new_file(folder / "test") as file:
            Path(file.name).unlink()
    except OSError as error:
        return error.strerror or str(error)
    return None
