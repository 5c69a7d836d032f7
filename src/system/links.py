"""Checks that no link in a folder leads out of it.

A folder of unknown origin could use such a link to get a user's file read, packed or overwritten.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path


class UnsafePathError(Exception):
    """Raised for a link that leads out of its folder, and for what is neither file nor folder.

    Whoever opens the folder turns it into a UsageError.
    """

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.found = f"{path}, {problem}"
        super().__init__(self.found)


def inside(folder: Path, *parts: str) -> Path:
    """Return the path of ``parts`` below ``folder``. The file does not have to exist.

    Raises:
        UnsafePathError: a link on the path leads out of ``folder``.
    """
    path = folder
    for part in Path(*parts).parts:
        path /= part
        if problem := _problem(path, folder):
            raise UnsafePathError(str(path), problem)
    return path


def require_inside(folder: Path) -> None:
    """Check everything below ``folder``, without opening a file or following a link to a folder.

    Raises:
        UnsafePathError: a link leads out of ``folder``, or an entry is neither file nor folder.
    """
    for path in _special_entries(str(folder)):
        if problem := _problem(Path(path), folder):
            raise UnsafePathError(path, problem)


def target_outside(path: str | Path, folder: str | Path) -> str | None:
    """Return the real path of ``path`` if that is outside ``folder``; None if it is inside."""
    target, top = os.path.realpath(path), os.path.realpath(folder)
    return None if os.path.commonpath([target, top]) == top else target


def leads_to_itself(path: str) -> bool:
    """Return True for a link to a folder that holds it, directly or on the way of its path.

    A walk of the folders would not end. Two folders with links to each other are on the way of
    ``a/to_b/to_a``. A link to itself leads to nothing and to no folder.
    """
    # The methods of Path raise for a name that is too long, and up to Python 3.12 for such a link.
    if not os.path.islink(path) or not os.path.isdir(path):  # noqa: PTH112, PTH114
        return False
    target, above = os.path.realpath(path), os.path.dirname(path)  # noqa: PTH120
    while above:
        if os.path.commonpath([os.path.realpath(above), target]) == target:
            return True
        folder, above = above, os.path.dirname(above)  # noqa: PTH120
        if above == folder:
            break
    return False


def _special_entries(folder: str) -> Iterator[str]:
    """Yield everything below ``folder`` that is neither a regular file nor a folder."""
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # removed meanwhile, or reported by the code that reads it
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _special_entries(entry.path)
        elif not entry.is_file(follow_symlinks=False):
            yield entry.path


def _problem(path: Path, folder: Path) -> str | None:
    """Return why a path is unsafe; None if it is safe or does not exist."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return None  # missing or not accessible, which opening it will report
    if stat.S_ISLNK(mode):
        return _link_problem(path, folder)
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return "which is neither a file nor a folder"  # reading a named pipe could wait forever


def _link_problem(path: Path, folder: Path) -> str | None:
    try:
        os.path.realpath(path, strict=True)
    except FileNotFoundError:
        pass  # a write would create the link's missing target
    except OSError as error:
        return f"a link to {path.readlink()} ({error.strerror})"  # such as a link to itself
    return f"a link to {path.readlink()}" if target_outside(path, folder) else None
