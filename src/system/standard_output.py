"""Standard output that may be closed before a command ends, as by ``| head``."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

# Errors of a pipe without a reader and of a closed terminal.
_CLOSED = (errno.EPIPE, errno.EIO)
_BROKEN_PIPE = 128 + 13  # the exit code that shells report for a program ended by SIGPIPE


class ClosedOutput(BaseException):
    """Raised when nobody reads the output any more and the command has no other work to do.

    It is not an Exception, so that no handler takes it for an error.
    """

    exit_code = _BROKEN_PIPE


class _TolerantFile(io.FileIO):
    """A file that accepts writes after its reader has closed it."""

    closed_early = False

    def write(self, content: Any, /) -> Any:
        try:
            return super().write(content)
        except OSError as error:
            # Redirect the descriptor, so that later writes, also those of C libraries, succeed.
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            if error.errno not in _CLOSED:
                raise  # such as a full disk, which ends the command
            self.closed_early = True
            return len(content)


@contextlib.contextmanager
def tolerating_closed_output() -> Iterator[None]:
    """Let a command continue when the reader of its output leaves.

    A training or measurement finishes although nobody reads its progress any more. Characters
    that the encoding of the output lacks are printed as escapes instead of raising an error.
    """
    original = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        _tolerant(stream) if stream is default else stream  # leave those of pytest and notebooks
        for stream, default in zip(original, (sys.__stdout__, sys.__stderr__), strict=True)
    )
    try:
        yield
    finally:
        replaced = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = original
        for stream in replaced:
            if stream is not None:
                stream.flush()


def _tolerant(stream: Any) -> Any:
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # None in a process that was started without this stream
    stream.flush()
    raw = _TolerantFile(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def has_reader() -> bool:
    """Return False if a write has shown that nobody reads standard output any more."""
    buffer = getattr(sys.stdout, "buffer", None)
    return not getattr(getattr(buffer, "raw", None), "closed_early", False)
