"""The folder of decoded images that several trainings share, and the room in it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from src.errors import UsageError, describe
from src.system import file_locks, partial_files

NAME = "lightship-pictures"  # of the folder within the one that the user names
PIXELS = "pixels"  # the file of an entry that is held open by who uses it
INDEX = "index.npy"
_LOCK = "lock"
_ENTRY = ".pictures"  # how the name of an entry ends


def default_folder() -> Path:
    """Return the folder of a user's caches: https://specifications.freedesktop.org/basedir-spec/latest/.

    Raises:
        UsageError: the user has no home folder.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():  # as the specification has it
        return base
    try:
        return Path.home() / ".cache"
    except RuntimeError as error:
        raise UsageError(
            "data.cache_dir",
            expected="a folder, for this user has no home folder",
            found="nothing",
            remedy="set data.cache_dir=PATH",
        ) from error


class CacheFolder:
    """Entries, which are folders that appear whole or not at all.

    Only entries are removed, and in them only the files that this class writes.

    Args:
        parent: gets a folder of our own, which holds the entries.
        most_bytes: that all entries may take together.
    """

    def __init__(self, parent: Path, most_bytes: int) -> None:
        self.path = parent / NAME
        self._most_bytes = most_bytes

    def entry(self, key: str) -> Path:
        """Return the folder of an entry, which need not exist."""
        return self.path / f"{key}{_ENTRY}"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the folder for a block; other processes wait.

        Raises:
            UsageError: the folder cannot be written, or its disk is full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / _LOCK).open("a") as file:
                file_locks.lock_exclusive(file.fileno())
                yield
        except OSError as error:
            raise UsageError(
                "data.cache_dir",
                expected="a folder that can be written, with room",
                found=f"{self.path} ({describe(error)})",
                remedy="set data.cache_dir=PATH, or data.cache=none",
            ) from error

    def make_room(self, wanted: int) -> int:
        """Remove leftovers, and entries from the least recently used on, until ``wanted`` fits.

        To be called alone. What is in use stays, and what another user owns.

        Returns:
            How many bytes a new entry may take.

        Raises:
            UsageError: they cannot fit.
        """
        partial_files.remove(self.path)
        entries = [path for path in self.path.glob(f"*{_ENTRY}") if is_whole(path)]
        entries.sort(key=lambda entry: entry.stat().st_mtime)
        taken = sum(map(_bytes, entries))
        for entry in entries:
            if taken + wanted <= self._most_bytes and wanted <= self._free():
                break
            size = _bytes(entry)
            if _removed(entry):
                taken -= size
        room = min(self._most_bytes - taken, self._free())
        if wanted > room:
            raise UsageError(
                "data.cache",
                expected=f"images that take {room} bytes at most, what is left of {self.path}",
                found=f"about {wanted} bytes",
                remedy="set data.cache_gigabytes=N or data.cache_dir=PATH for more room, or "
                "data.fast_decode=true for smaller images",
            )
        return room

    def _free(self) -> int:
        return shutil.disk_usage(self.path).free


def is_whole(entry: Path) -> bool:
    """Return True if an entry is there with all of its files."""
    return not entry.is_symlink() and all((entry / name).is_file() for name in (PIXELS, INDEX))


def hold(entry: Path) -> IO[bytes]:
    """Open an entry's pixels; the entry is in use until the file is closed."""
    file = (entry / PIXELS).open("rb")
    file_locks.lock_shared(file.fileno())
    return file


def _removed(entry: Path) -> bool:
    try:
        file = (entry / PIXELS).open("r+b")  # a lock of one's own wants a file to write
    except PermissionError:
        return False  # another user's
    with file:
        if not file_locks.try_lock_exclusive(file.fileno()):
            return False
        for name in (INDEX, PIXELS):
            (entry / name).unlink()
        with contextlib.suppress(OSError):  # it holds files of others
            entry.rmdir()
        return True


def _bytes(entry: Path) -> int:
    return sum((entry / name).stat().st_size for name in (PIXELS, INDEX))
