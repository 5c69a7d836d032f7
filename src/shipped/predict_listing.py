"""Listing of folders and patterns, with the error of each folder that cannot be listed.

``glob.glob`` leaves such folders out silently, and follows links that lead in a circle.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from collections.abc import Callable, Collection
from typing import NamedTuple

# Folders that systems and programs create among a user's images, some with thumbnails.
SYSTEM_FOLDERS = frozenset(
    {
        *("@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
        *("__MACOSX", "__pycache__"),
    }
)
ANY_DEPTH = "**"
Report = Callable[[OSError], None]


class Listing(NamedTuple):
    """Paths in the order of their text, and an error for each path that cannot be read."""

    paths: list[str]
    errors: list[OSError]  # with their file names


def is_passed_over(name: str) -> bool:
    """Return True for the name of a hidden file or folder, and of a system's folder."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def files_in(folder: str, endings: Collection[str]) -> Listing:
    """Return the regular files in a folder and below.

    Links to files are followed, links to folders are not. A link to nothing is an error. Pipes and
    devices are passed over, because opening a pipe would block.

    Args:
        folder: path of it.
        endings: of the files' names, in lower case, such as ``.jpg``.
    """
    paths: list[str] = []
    errors: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=errors.append):
        folders[:] = [name for name in folders if not is_passed_over(name)]
        for name in names:
            if is_passed_over(name) or os.path.splitext(name)[1].lower() not in endings:  # noqa: PTH122
                continue
            path = os.path.join(place, name)  # noqa: PTH118  # Path() would change what is printed
            try:
                is_regular = stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
            except OSError as error:
                errors.append(error)
                continue
            if is_regular:
                paths.append(path)
    return Listing(sorted(paths), errors)


def is_pattern(name: str) -> bool:
    """Return True for a name with ``*``, ``?`` or ``[`` that no file, folder or link has."""
    return glob.has_magic(name) and not os.path.lexists(name)


def matches_of(pattern: str) -> Listing:
    """Return the files, folders and links that a pattern matches.

    ``**`` as a folder of the pattern stands for no folder and for folders at any depth, without
    links; at the end it is ``*``. Neither matches a hidden name or a folder of a system. What lies
    below a folder that matches is left out, because the folder stands for it.
    """
    errors: dict[str, OSError] = {}

    def report(error: OSError) -> None:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):  # nothing there matches
            errors[str(error.filename)] = error

    folder, name = os.path.split(pattern)
    matches = {
        path for place in _places(folder, report) for path in _matches_in(place, name, report)
    }
    folders = tuple(os.path.join(path, "") for path in matches if os.path.isdir(path))  # noqa: PTH112, PTH118
    return Listing(
        sorted(path for path in matches if not path.rstrip(os.sep).startswith(folders)),
        [error for path, error in errors.items() if not f"{path}{os.sep}".startswith(folders)],
    )


def _places(pattern: str, report: Report) -> list[str]:
    """Return the folders that the folder part of a pattern stands for."""
    if not glob.has_magic(pattern) or os.path.isdir(pattern):  # noqa: PTH112
        return [pattern]
    folder, name = os.path.split(pattern)
    places = _places(folder, report)
    if name == ANY_DEPTH:
        below = (path for place in places for path in _with_folders_below(place, report))
        return list(dict.fromkeys(below))
    matches = (path for place in places for path in _matches_in(place, name, report))
    return [path for path in matches if os.path.isdir(path)]  # noqa: PTH112


def _with_folders_below(place: str, report: Report) -> list[str]:
    folders = [place]
    for folder in folders:  # the list grows meanwhile
        for entry in _entries(folder, report):
            try:
                if entry.is_dir(follow_symlinks=False) and not is_passed_over(entry.name):
                    folders.append(os.path.join(folder, entry.name))  # noqa: PTH118
            except OSError as error:
                report(error)
    return folders


def _matches_in(place: str, name: str, report: Report) -> list[str]:
    """Return the paths directly in a folder whose names match the last part of a pattern."""
    if glob.has_magic(name):
        return [
            os.path.join(place, entry.name)  # noqa: PTH118
            for entry in _entries(place, report)
            if fnmatch.fnmatch(entry.name, name)
            and (name.startswith(".") or not is_passed_over(entry.name))
        ]
    path = os.path.join(place, name)  # noqa: PTH118
    try:
        os.lstat(path)
    except OSError as error:
        report(error)
        return []
    return [path]


def _entries(folder: str, report: Report) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder or os.curdir) as entries:
            return list(entries)
    except OSError as error:
        report(error)
        return []
