"""The folder of decoded pictures that several trainings share, and the room in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from src.errors import UsageError, describe

PIXELS = "pixels"  # the file of an entry that is held open by who uses it
_LOCK = "lock"


def default_folder() -> Path:
    """Where caches of a user are: https://specifications.freedesktop.org/basedir-spec/latest/."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lightship"


class CacheFolder:
    """Entries, each a folder that appears whole or not at all.

    Args:
        path: of the folder; made where there is none.
        most_bytes: that all entries may take together.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path = path
        self._most_bytes = most_bytes

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While no other process is in this block: those that come later wait.

        Raises:
            UsageError: the folder cannot be written, or its disk is full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with (self.path / _LOCK).open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
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

        To be called alone. What is in use stays.

        Returns:
            How many bytes a new entry may take.

        Raises:
            UsageError: they cannot fit.
        """
        for left in self.path.glob(".*"):  # of a process that was killed, for nobody else fills
            shutil.rmtree(left)
        entries = [entry for entry in self.path.iterdir() if entry.is_dir()]
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
                expected=f"pictures that take {room} bytes at most, what is left of {self.path}",
                found=f"about {wanted} bytes",
                remedy="set data.cache_gigabytes=N or data.cache_dir=PATH for more room, or "
                "data.fast_decode=true for smaller pictures",
            )
        return room

    def _free(self) -> int:
        return shutil.disk_usage(self.path).free


def hold(entry: Path) -> IO[bytes]:
    """An entry's pixels, open; until what is open is closed, the entry is in use."""
    file = (entry / PIXELS).open("rb")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def _removed(entry: Path) -> bool:
    with (entry / PIXELS).open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        shutil.rmtree(entry)
        return True


def _bytes(entry: Path) -> int:
    return sum(file.stat().st_size for file in entry.iterdir())
