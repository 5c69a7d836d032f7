"""Files and folders that are being written, and those that a killed process left unfinished.

Until they are complete they have a marked name and a lock. A file is locked itself. A folder has
a lock file beside it: NFS only locks files that are open for writing, and a folder cannot be. The
lock file holds the folder's final name.
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
_LOCK = ".lock"  # suffix of a folder's lock file
_ASIDE = ".aside"  # suffix of an earlier folder while another takes its place
_PARTIAL_NAME = re.compile(rf"\..+{re.escape(_MARK)}[0-9a-f]{{16}}({re.escape(_LOCK)})?")
_MAX_NAME_CHARACTERS = 48  # of the final name in the marked one; a name may have 255 bytes
_MAX_NAME_BYTES = 255
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def new_file(place: Path) -> Iterator[IO[bytes]]:
    """Yield a new file beside ``place``, open for writing and reading. It is not removed.

    Until the block ends its lock shows other processes that it is in use.
    """
    with _locked(place) as file:
        yield file


@contextlib.contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """Yield a new folder beside ``place``. When the block ends, whatever has its name is removed.

    Until then its lock shows other processes that it is in use. A folder of :func:`aside_of` is
    removed too, or is put back if there is nothing at ``place``.
    """
    with _locked(place, _LOCK) as file:
        lock = Path(file.name)
        folder = lock.with_name(lock.name.removesuffix(_LOCK))
        try:
            file.write(os.fsencode(place.name))
            file.flush()
            folder.mkdir()
            yield folder
        finally:
            _settle_aside(folder, place)
            _remove_folder(folder)
            lock.unlink(missing_ok=True)


def aside_of(folder: Path) -> Path:
    """Return the name for an earlier folder while ``folder``, an unfinished one, replaces it."""
    return folder.with_name(f"{folder.name}{_ASIDE}")


def concerns_partial_file(error: OSError) -> bool:
    """Return True if an error names a file that is being written, or no file."""
    name = error.filename
    return name is None or bool(_PARTIAL_NAME.fullmatch(os.path.basename(os.fsdecode(name))))  # noqa: PTH119


def remove(folder: Path) -> list[Path]:
    """Remove the unfinished files and folders in ``folder`` that no process is writing any more.

    Only entries with the marked name and a lock that nobody holds are removed. Links are not
    followed, and subfolders are not searched. Return the removed paths. An earlier folder that was
    to be replaced gets its name back if the later one did not.
    """
    removed = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        # A folder is found by its lock file.
        if not _PARTIAL_NAME.fullmatch(path.name) or not stat.S_ISREG(path.lstat().st_mode):
            continue
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # it was renamed meanwhile, or belongs to another user
        try:
            if not file_locks.try_lock_exclusive(descriptor):
                continue
            unfinished = path.with_name(path.name.removesuffix(_LOCK))
            if unfinished != path:
                place = _final_path(path, descriptor)
                # A link is not put back: the run may come from anybody, and is checked already.
                if place is not None and not aside_of(unfinished).is_symlink():
                    _settle_aside(unfinished, place)
                _remove_folder(unfinished)
            path.unlink(missing_ok=True)
            removed.append(unfinished)
        finally:
            os.close(descriptor)
    return removed


@contextlib.contextmanager
def _locked(place: Path, suffix: str = "") -> Iterator[IO[bytes]]:
    while True:
        name = f".{place.name[:_MAX_NAME_CHARACTERS]}{_MARK}{secrets.token_hex(8)}{suffix}"
        path = place.with_name(name)
        with open(path, "w+b", opener=_create) as file:
            file_locks.lock_exclusive(file.fileno())
            if path.exists():  # another process may have removed it before it was locked
                yield file
                return


def _create(path: str, _: int) -> int:
    return os.open(path, _NEW, 0o666)  # the system applies the user's umask


def _final_path(lock: Path, descriptor: int) -> Path | None:
    """Return the final path of a folder by its lock file; None if that does not tell it."""
    start = lock.name.removeprefix(".").rpartition(_MARK)[0]
    name = os.fsdecode(os.read(descriptor, _MAX_NAME_BYTES))
    if not name and len(start) < _MAX_NAME_CHARACTERS:
        name = start  # after a power cut the content may be missing
    if name in {"", ".", ".."} or "/" in name or "\0" in name:
        return None
    if name[:_MAX_NAME_CHARACTERS] != start:
        return None  # somebody changed it
    return lock.with_name(name)


def _settle_aside(folder: Path, place: Path) -> None:
    """Remove the earlier folder beside ``folder``, or put it back if nothing is at ``place``."""
    aside = aside_of(folder)
    if not os.path.lexists(aside):
        return
    if os.path.lexists(place):
        _remove_folder(aside)
    else:
        aside.replace(place)


def _remove_folder(path: Path) -> None:
    """Remove a folder with its content, or the link in its place."""
    if path.is_symlink():
        path.unlink()
    else:
        # A rest that cannot be removed does no harm.
        shutil.rmtree(path, ignore_errors=True)
