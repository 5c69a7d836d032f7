"""Standard output that may be closed before a command ends, as by ``| head``."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

# The reader of a pipe has left; the terminal was closed.
_GONE = (errno.EPIPE, errno.EIO)
_BROKEN_PIPE = 128 + 13  # the exit code that a shell has for a program ended by SIGPIPE


class ClosedOutput(BaseException):  # it is no error, and nothing may take it for one
    """Nobody reads what is printed any more, and the command has nothing else to do."""

    exit_code = _BROKEN_PIPE


class _Outlet(io.FileIO):
    """A file that takes all that is written to it, also when nobody reads it any more."""

    closed_early = False

    def write(self, content: Any, /) -> Any:
        try:
            return super().write(content)
        except OSError as error:
            # Whatever comes after, as what a library in C writes, fails no more.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if error.errno not in _GONE:
                raise  # a full disk, say, which the command ends with
            self.closed_early = True
            return len(content)


@contextlib.contextmanager
def open_ended() -> Iterator[None]:
    """Within it, a command goes on when the reader of its output leaves.

    A training or a measurement is to end well, though nobody looks at its progress any more. And
    what the encoding of the output lacks is printed as an escape: a name is no reason to stop.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        _lasting(stream) if stream is own else stream  # none of ours in a test or a notebook
        for stream, own in zip(before, (sys.__stdout__, sys.__stderr__), strict=True)
    )
    try:
        yield
    finally:
        ours = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = before
        for stream in ours:
            if stream is not None:
                stream.flush()


def _lasting(stream: Any) -> Any:
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # None, where a process was started without
    stream.flush()
    raw = _Outlet(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def is_read() -> bool:
    """Whether somebody still reads what is printed, as far as is known."""
    buffer = getattr(sys.stdout, "buffer", None)
    return not getattr(getattr(buffer, "raw", None), "closed_early", False)
