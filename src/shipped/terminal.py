"""Standard output that takes every character, and whose reader may leave, as with ``| head``.

Texts of others, such as the names of files, are printed so that a terminal shows and never obeys
them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata
from collections.abc import Iterator

BROKEN_PIPE = 128 + 13  # the exit code that shells report for a program ended by SIGPIPE
INTERRUPTED = 128 + 2  # the same for SIGINT
# Unicode categories of control characters, lone surrogates, and separators of lines or paragraphs.
CONTROL = {"Cc", "Cs", "Zl", "Zp"}
BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def accept_every_character() -> None:
    """Print each line at once, with escapes for characters that the output's encoding lacks.

    Python would keep the lines for a file or a pipe back until they fill a buffer. Its reader would
    wait for them, and a program that is killed would lose them.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a replaced stream may have none
        if reconfigure is not None:
            reconfigure(errors="backslashreplace", line_buffering=True)


def visible(text: str) -> str:
    """Return ``text`` in one line, with escapes for characters that a terminal would act on."""
    return "".join(
        ascii(character)[1:-1]
        if unicodedata.category(character) in CONTROL or character in BIDIRECTIONAL
        else character
        for character in text
    )


def in_utf8(text: str) -> str:
    r"""Return ``text`` with ``\udcff`` for each byte of a file's name that is not UTF-8.

    As a lone surrogate it would be JSON that many readers refuse.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def discard_output() -> None:
    """Let nothing more be written: Python would write the rest at its end, and fail again."""
    with contextlib.suppress(OSError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


@contextlib.contextmanager
def ending_with_its_reader() -> Iterator[None]:
    """End the program in at most one line when standard output takes no more, or at Ctrl-C.

    After Ctrl-C it ends by SIGINT, or with the exit code 130 where there are no such signals.
    """
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
    except KeyboardInterrupt:
        if os.name != "posix":
            print("interrupted", file=sys.stderr)
            sys.exit(INTERRUPTED)
        # Python cleans up, and then ends by SIGINT itself. A shell ends a loop after a program that
        # SIGINT has ended, and goes on after one that exits with a code:
        # https://www.cons.org/cracauer/sigint.html
        sys.excepthook = _print_interrupted
        raise


def _print_interrupted(*_: object) -> None:
    print("interrupted", file=sys.stderr)
