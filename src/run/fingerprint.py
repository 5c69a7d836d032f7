"""Sizes and hashes of the present export files, to compare with a manifest or measurement."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.run.facts import ExportedFile
from src.shipped import lfs_pointer
from src.system import atomic_files

# A manifest of unknown origin may list paths that no file system accepts.
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}


@dataclass(frozen=True)
class PresentFile:
    """A file as it is now; size and hash are None if it is missing."""

    path: str  # relative to its folder
    bytes: int | None
    sha256: str | None
    advice: str = ""  # end of a message on it, if the reason is known why it is no model


def taken(folder: Path, paths: Iterable[str]) -> list[PresentFile]:
    """Return the files at these paths of a folder as they are now."""
    return [_taken(folder, path) for path in paths]


def now(folder: Path, written: Iterable[ExportedFile]) -> list[PresentFile]:
    """Return the files that an export wrote into a folder as they are now."""
    return taken(folder, [file.path for file in written])


def of(files: Iterable[ExportedFile | PresentFile]) -> dict[str, str | None]:
    """Return the SHA-256 of each file by its path; None if it is missing or unknown."""
    return {file.path: file.sha256 for file in files}


def change(written: Sequence[ExportedFile], present: Sequence[PresentFile]) -> str | None:
    """Describe the first difference from the written files; return None if there is none."""
    by_path = {file.path: file for file in present}
    if not written:
        return "no files"
    for file in written:
        now_there = by_path[file.path]
        if now_there.sha256 is None:
            return f"{file.path} is missing"
        if now_there.sha256 != file.sha256:
            return (
                f"{file.path} is another file than was written, of SHA-256 {now_there.sha256}"
                f"{now_there.advice}"
            )
    return None


def is_as_written(folder: Path, written: Sequence[ExportedFile]) -> bool:
    """Return True if all files of a folder are as they were written; False without files."""
    return change(written, now(folder, written)) is None


def _taken(folder: Path, path: str) -> PresentFile:
    try:
        size, sha256 = (folder / path).stat().st_size, atomic_files.sha256(folder / path)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
        return PresentFile(path, None, None)
    return PresentFile(path, size, sha256, lfs_pointer.advice(folder / path))
