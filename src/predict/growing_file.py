"""A file that grows piece by piece and is complete after each piece."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

# Errors of fsync on a file system that does not support it.
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


class GrowingFile:
    """A file that keeps all appended pieces even if this process is killed.

    An existing file keeps its content until the first piece. A piece that cannot be written
    completely, for example on a full disk, is removed again.

    Args:
        path: of the file, whose folder exists.

    Raises:
        OSError: the file cannot be opened for writing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._existed = os.path.lexists(path)
        self._file = path.open("r+b" if self._existed else "xb", buffering=0)
        self._end = 0  # offset of the next piece
        self.has_content = False

    def append(self, piece: bytes, end: bytes = b"") -> None:
        """Write a piece, followed by ``end``, which the next piece overwrites.

        Raises:
            OSError: writing failed, with the path as its filename. The file holds the pieces
                before, followed by ``end``.
        """
        try:
            if not self.has_content:
                self._file.truncate(0)
            self._write(piece + end)
            self._end += len(piece)
            self.has_content = True
        except BaseException as error:  # a signal may come between two system calls
            with contextlib.suppress(OSError):  # the first error is the one to report
                if self.has_content:
                    self._file.truncate(self._end)
                    self._write(end)  # there was room for it before
                else:
                    self._file.truncate(0)
            if isinstance(error, OSError):
                error.filename = str(self._path)
            raise

    def close(self) -> None:
        """Sync the file to the disk and close it; remove a new file that has no piece.

        Raises:
            OSError: syncing failed, with the path as its filename.
        """
        try:
            if self.has_content:
                os.fsync(self._file.fileno())
            elif not self._existed:
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
