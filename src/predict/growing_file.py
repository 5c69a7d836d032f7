"""A file that is written bit by bit and can be read at any moment."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

# What a file system says that syncs nothing.
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


class GrowingFile:
    """A file under its own name from the first piece on, whatever ends this process later.

    What was in a file of that name stays until then. A piece that cannot be written whole, as on a
    full disk, is not in the file.

    Args:
        path: of the file, whose folder exists.

    Raises:
        OSError: it cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._was_there = os.path.lexists(path)
        self._file = path.open("r+b" if self._was_there else "xb", buffering=0)
        self._end = 0  # where the next piece goes
        self.has_content = False

    def append(self, piece: bytes, end: bytes = b"") -> None:
        """Write one more piece, and after it how the file ends if nothing follows.

        Raises:
            OSError: with the path as its file; the pieces before are there, with their end.
        """
        try:
            if not self.has_content:
                self._file.truncate(0)
            self._write(piece + end)
            self._end += len(piece)
            self.has_content = True
        except BaseException as error:  # a signal may come between two system calls
            with contextlib.suppress(OSError):  # of the two errors the first one tells
                if self.has_content:
                    self._file.truncate(self._end)
                    self._write(end)  # for which there was room before
                else:
                    self._file.truncate(0)
            if isinstance(error, OSError):
                error.filename = str(self._path)
            raise

    def close(self) -> None:
        """Wait until it is on the disk; a new file without a piece is removed.

        Raises:
            OSError: the disk fails now, with the path as its file.
        """
        try:
            if self.has_content:
                os.fsync(self._file.fileno())
            elif not self._was_there:
                self._path.unlink(missing_ok=True)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                error.filename = str(self._path)
                raise
        finally:
            self._file.close()

    def _write(self, content: bytes) -> None:
        self._file.seek(self._end)
        rest = memoryview(content)
        while rest:
            rest = rest[self._file.write(rest) :]
