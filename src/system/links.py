"""Files below a folder that may be a stranger's: no link in it leads out of it.

A link is how a folder of unknown origin gets a file of the user's read, packed or overwritten.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path


class Outward(Exception):  # noqa: N818  # a finding; whoever opens the folder makes an error of it
    """A link that leads out of its folder, or something that is no file: its path, what it is."""

    def __init__(self, path: str, found: str) -> None:
        self.path = path
        self.found = f"{path}, {found}"
        super().__init__(self.found)


def inside(folder: Path, *parts: str) -> Path:
    """The path of ``parts`` below ``folder``, whether there is such a file or not.

    Raises:
        Outward: a link on the way leads out of ``folder``.
    """
    path = folder
    for part in Path(*parts).parts:
        path /= part
        if problem := _problem(path, folder):
            raise Outward(str(path), problem)
    return path


def require_inside(folder: Path) -> None:
    """Look at all that is below ``folder``; no file is opened, no link to a folder followed.

    Raises:
        Outward: a link leads out of it, or something is neither file nor folder.
    """
    for path in _below(str(folder)):
        if problem := _problem(Path(path), folder):
            raise Outward(path, problem)


def target_outside(path: str | Path, folder: str | Path) -> str | None:
    """Where ``path`` leads to, if that is not below ``folder``; None if it is."""
    target, top = os.path.realpath(path), os.path.realpath(folder)
    return None if os.path.commonpath([target, top]) == top else target


def _below(folder: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # gone meanwhile, or told by whoever wants to read it
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path)
        elif not entry.is_file(follow_symlinks=False):
            yield entry.path


def _problem(path: Path, folder: Path) -> str | None:
    """Why a path cannot be used as one of ``folder``; None if it can, or is not there."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return None  # it is not there, or cannot be looked at: told when it is opened
    if stat.S_ISLNK(mode):
        return _leads_out(path, folder)
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return "which is neither a file nor a folder"  # a pipe would be waited for without an end


def _leads_out(path: Path, folder: Path) -> str | None:
    try:
        os.path.realpath(path, strict=True)
    except FileNotFoundError:
        pass  # what is not there yet would be written where the link leads
    except OSError as error:
        return f"a link to {path.readlink()} ({error.strerror})"  # to itself, for example
    return f"a link to {path.readlink()}" if target_outside(path, folder) else None
