"""What can go wrong for a user, each told in one line.

    LightshipError            exit code 1
    ├── UsageError            exit code 2: an argument, a path or a file that is not as expected
    └── NonFiniteLossError    training diverged

What a disk, the memory, a process or a GPU does is told in one line by :mod:`src.system.os_errors`.
Anything else that escapes is a defect of Lightship and keeps its traceback.
"""

from __future__ import annotations

import unicodedata

# Control characters, halves of characters and ends of lines. A terminal obeys them.
_NOT_SHOWN = {"Cc", "Cs", "Zl", "Zp"}
# They turn the text around them, so that it reads as another. https://trojansource.codes
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LAYOUT = frozenset("\n\t")


class LightshipError(Exception):
    """A failure whose whole explanation is its one-line message."""

    exit_code = 1


class UsageError(LightshipError):
    """A user's mistake: which argument, what was expected, what was found, what to do."""

    exit_code = 2

    def __init__(self, argument: str, *, expected: str, found: str, remedy: str) -> None:
        super().__init__(one_line(f"{argument}: expected {expected}; found {found}; {remedy}"))


class NonFiniteLossError(LightshipError):
    """The loss became NaN or infinite; nothing is saved or exported from such weights."""

    def __init__(self, step: int) -> None:
        super().__init__(
            f"the loss is not finite at step {step}: training stopped, nothing is exported from "
            "these weights; lower model.lr, raise model.warmup_fraction or set "
            "trainer.gradient_clip_val=1.0"
        )


def one_line(text: str) -> str:
    """``text`` with every run of white space, line breaks included, as one space.

    What a terminal would obey is written out: a message may quote a stranger's file.
    """
    return visible(" ".join(text.split()))


def printable(text: object) -> str:
    r"""The text of something that UTF-8 has a form for: a byte of no encoding is ``\udcff``.

    Python has such bytes in names of files that are not UTF-8 (PEP 383).
    """
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def describe(error: BaseException) -> str:
    """An exception as one line: its own message for ours, type and message for all others."""
    if isinstance(error, LightshipError):
        return str(error)
    return one_line(f"{type(error).__name__}: {error}").rstrip(": ")


def ours_in(error: BaseException | None) -> LightshipError | None:
    """The error of ours among an exception and what led to it."""
    while error is not None and not isinstance(error, LightshipError):
        error = error.__cause__ or error.__context__
    return error


def is_harmful(character: str) -> bool:
    """Whether a terminal or an editor would obey this character instead of showing it."""
    return unicodedata.category(character) in _NOT_SHOWN or character in _TURNING


def visible(text: str) -> str:
    r"""``text`` with characters that would be obeyed written out, as ``\x1b``.

    Line breaks and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        written_out(each) if is_harmful(each) and each not in _LAYOUT else each for each in text
    )


def written_out(character: str) -> str:
    """An escape of Python, bash and zsh for this character."""
    number = ord(character)
    if number < 0x80:  # noqa: PLR2004  # a shell would take two digits for a byte from here on
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"  # noqa: PLR2004
