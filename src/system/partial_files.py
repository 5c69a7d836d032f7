"""Files and folders that are being written, and those that a killed process left so.

Both have a name of ours until they are whole, and a lock. A file is locked itself. A folder has a
file beside it for that: NFS locks only what is open for writing, and a folder cannot be.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from src.system import file_locks

_MARK = ".lightship-unfinished-"
_LOCK = ".lock"  # how the name of a folder's lock goes on
_OURS = re.compile(rf"\..+{re.escape(_MARK)}[0-9a-f]{{16}}({re.escape(_LOCK)})?")
_LONGEST = 48  # characters of the name that it will have; 255 bytes is what a name may take
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def new_file(place: Path) -> Iterator[IO[bytes]]:
    """A file to write and read beside ``place``; its ``name`` tells where, and it stays there.

    No other process takes it for one that was left, until the block ends.
    """
    with _locked(place) as file:
        yield file


@contextlib.contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """A folder to fill beside ``place``. What has its name when the block ends is removed.

    No other process takes it for one that was left, until then.
    """
    with _locked(place, _LOCK) as file:
        named = Path(file.name)
        folder = named.with_name(named.name.removesuffix(_LOCK))
        try:
            folder.mkdir()
            yield folder
        finally:
            _remove_folder(folder)
            named.unlink(missing_ok=True)


def is_meant(error: OSError) -> bool:
    """Whether an error is about a file that is being written, or names none."""
    name = error.filename
    return name is None or bool(_OURS.fullmatch(os.path.basename(os.fsdecode(name))))  # noqa: PTH119


def remove(folder: Path) -> list[Path]:
    """Remove what no process is writing any more, in ``folder`` but not below; what that was.

    Only what has our mark in its name and our lock, which is free. Links are not followed.
    """
    removed = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        # A folder goes with its lock.
        if not _OURS.fullmatch(path.name) or not stat.S_ISREG(path.lstat().st_mode):
            continue
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # it has its name by now, or is another user's
        try:
            if not file_locks.is_free(descriptor):
                continue
            written = path.with_name(path.name.removesuffix(_LOCK))
            if written != path:
                _remove_folder(written)
            path.unlink(missing_ok=True)
            removed.append(written)
        finally:
            os.close(descriptor)
    return removed


@contextlib.contextmanager
def _locked(place: Path, suffix: str = "") -> Iterator[IO[bytes]]:
    while True:
        name = f".{place.name[:_LONGEST]}{_MARK}{secrets.token_hex(8)}{suffix}"
        path = place.with_name(name)
        with open(path, "w+b", opener=_create) as file:
            file_locks.take(file.fileno())
            if path.exists():  # it may have been removed as left, before it was locked
                yield file
                return


def _create(path: str, _: int) -> int:
    return os.open(path, _NEW, 0o666)  # less what the user's umask takes


def _remove_folder(path: Path) -> None:
    """Remove a folder with what is in it, or the link that has its place."""
    if path.is_symlink():
        path.unlink()
    else:
        # What cannot be removed stays: it is in nobody's way.
        shutil.rmtree(path, ignore_errors=True)
