"""The files of an export as they are now, to compare with the manifest or a measurement."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.run.facts import ExportedFile
from src.system import atomic_files

# A stranger's list may name what no file system holds.
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}


@dataclass(frozen=True)
class PresentFile:
    """A file as it is now; without size and hash where it is not there."""

    path: str  # relative to its folder
    bytes: int | None
    sha256: str | None


def taken(folder: Path, paths: Iterable[str]) -> list[PresentFile]:
    """Return the files of these paths in a folder, as they are now."""
    return [_taken(folder, path) for path in paths]


def now(folder: Path, written: Iterable[ExportedFile]) -> list[PresentFile]:
    """Return the files that an export wrote into a folder, as they are now."""
    return taken(folder, [file.path for file in written])


def of(files: Iterable[ExportedFile | PresentFile]) -> dict[str, str | None]:
    """Return the SHA-256 of each file by its path; None where it is not there, or not known."""
    return {file.path: file.sha256 for file in files}


def change(written: Sequence[ExportedFile], present: Sequence[PresentFile]) -> str | None:
    """Return the first difference from what was written, in words; None if there is none."""
    after = of(present)
    if not written:
        return "no files"
    for file in written:
        if after[file.path] is None:
            return f"{file.path} is missing"
        if after[file.path] != file.sha256:
            return f"{file.path} is another file than was written, of SHA-256 {after[file.path]}"
    return None


def is_as_written(folder: Path, written: Sequence[ExportedFile]) -> bool:
    """Return True if all files in a folder are as they were written; False if there are none."""
    return change(written, now(folder, written)) is None


def _taken(folder: Path, path: str) -> PresentFile:
    try:
        size, sha256 = (folder / path).stat().st_size, atomic_files.sha256(folder / path)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        return PresentFile(path, None, None)
    return PresentFile(path, size, sha256)
