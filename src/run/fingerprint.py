"""The files of an export as they are now, to hold against what the manifest or a measurement says.

A list of files is that of the manifest: ``path`` relative to the folder, ``bytes`` and ``sha256``.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from src.system import atomic_files

Listed = list[dict[str, Any]]

# A stranger's list may name what no file system holds.
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}


def taken(folder: Path, listed: Listed) -> Listed:
    """The same files as they are now; without size and hash where one is not there."""
    return [_taken(folder, str(file["path"])) for file in listed]


def of(listed: Listed) -> dict[str, str | None]:
    """The SHA-256 of each file by its path; None where it is not there, or not known."""
    return {str(file["path"]): file.get("sha256") for file in listed}


def change(listed: Listed, now: Listed) -> str | None:
    """What is otherwise than it was listed, in words; None if nothing is."""
    before, after = of(listed), of(now)
    if not before:
        return "no files"
    for path, sha256 in before.items():
        if after[path] is None:
            return f"{path} is missing"
        if after[path] != sha256:
            return f"{path} is another file than was written, of SHA-256 {after[path]}"
    return None


def _taken(folder: Path, path: str) -> dict[str, Any]:
    try:
        size, sha256 = (folder / path).stat().st_size, atomic_files.sha256(folder / path)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        return {"path": path, "bytes": None, "sha256": None}
    return {"path": path, "bytes": size, "sha256": sha256}
