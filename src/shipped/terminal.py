"""Standard output that takes every character, and whose reader may leave, as with ``| head``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

BROKEN_PIPE = 128 + 13  # the exit code that shells report for a program ended by SIGPIPE


def accept_every_character() -> None:
    """Print characters that the encoding of the output lacks as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a replaced stream may have none
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Let nothing more be written: Python would write the rest at its end, and fail again."""
    with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextlib.contextmanager
def ending_with_its_reader() -> Iterator[None]:
    """End the program in at most one line when standard output takes no more."""
    accept_every_character()
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # a process that was started without it
                sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
        sys.exit(BROKEN_PIPE)
    except OSError as error:  # such as a full disk
        discard_output()
        sys.exit(f"error: {error}")
