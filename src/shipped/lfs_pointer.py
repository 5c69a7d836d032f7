"""Pointers of Git LFS, which are in the place of large files in a clone without Git LFS.

https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

from pathlib import Path

START = b"version https://git-lfs.github.com/spec/"
MOST_BYTES = 1024


def is_pointer(path: Path) -> bool:
    """Return True if a file is a pointer, and False if it cannot be read."""
    try:
        if path.stat().st_size >= MOST_BYTES:
            return False
        with path.open("rb", buffering=0) as file:
            return file.read(len(START)) == START
    except OSError:
        return False


def advice(path: Path) -> str:
    """Return the end of a message on a file that cannot be used; empty if it is no pointer."""
    return "; it is a pointer of Git LFS: git lfs pull fetches the file" * is_pointer(path)
