"""Errors that a user can act on. Each is reported in one line.

    LightshipError            exit code 1
    ├── UsageError            exit code 2: an argument, path or file is not as expected
    └── NonFiniteLossError    training diverged

:mod:`src.system.os_errors` explains failures of disks, memory, processes and GPUs in one line.
Any other exception that reaches the entry point is a defect of Lightship and keeps its traceback.
"""

from __future__ import annotations

import unicodedata

# Unicode categories of control characters, lone surrogates and line or paragraph separators.
# A terminal acts on them instead of showing them.
_CONTROL_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
# They change the order in which text is displayed, so that it reads as something else.
# https://trojansource.codes
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LAYOUT = frozenset("\n\t")

_FIRST_NON_ASCII = 0x80  # from here on, a shell takes \x and two digits for a byte, no character
_LARGEST_BMP = 0xFFFF  # the largest code point that \u and four digits can write


class LightshipError(Exception):
    """A failure that its one-line message explains completely."""

    exit_code = 1


class UsageError(LightshipError):
    """A user's mistake: the argument, what was expected, what was found and the remedy."""

    exit_code = 2

    def __init__(self, argument: str, *, expected: str, found: str, remedy: str) -> None:
        super().__init__(one_line(f"{argument}: expected {expected}; found {found}; {remedy}"))


class NonFiniteLossError(LightshipError):
    """Raised when the loss is NaN or infinite. Such weights are neither saved nor exported."""

    def __init__(self, step: int) -> None:
        super().__init__(
            f"the loss is not finite at step {step}: training stopped, nothing is exported from "
            "these weights; lower model.lr, raise model.warmup_fraction or set "
            "trainer.gradient_clip_val=1.0"
        )


def one_line(text: str) -> str:
    """Return ``text`` in one line: each run of white space becomes one space.

    Control characters are escaped, because a message may quote a file of unknown origin.
    """
    return visible(" ".join(text.split()))


def printable(text: object) -> str:
    r"""Return the text of a value, with what UTF-8 cannot encode written as ``\udcff``.

    Python represents the bytes of a file name that is not UTF-8 by lone surrogates (PEP 383).
    """
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def describe(error: BaseException) -> str:
    """Describe an exception in one line.

    Return the message of a :class:`LightshipError`, and the type and message of any other.
    """
    if isinstance(error, LightshipError):
        return str(error)
    return one_line(f"{type(error).__name__}: {error}").rstrip(": ")


def lightship_error_in(error: BaseException | None) -> LightshipError | None:
    """Return the first LightshipError in an exception's chain of causes; None without one."""
    while error is not None and not isinstance(error, LightshipError):
        error = error.__cause__ or error.__context__
    return error


def is_harmful(character: str) -> bool:
    """Return True if a terminal or editor acts on this character instead of showing it."""
    return unicodedata.category(character) in _CONTROL_CATEGORIES or character in _BIDIRECTIONAL


def visible(text: str) -> str:
    r"""Return ``text`` with harmful characters escaped, as ``\x1b``. Line breaks and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        escaped(character) if is_harmful(character) and character not in _LAYOUT else character
        for character in text
    )


def escape_harmful(text: str) -> str:
    r"""Return ``text`` in one line with all harmful characters escaped, line breaks as ``\x0a``.

    Spaces stay as they are, so that a path can be copied.
    """
    return "".join(escaped(character) if is_harmful(character) else character for character in text)


def escaped(character: str) -> str:
    """Return an escape sequence for a character that Python, bash and zsh all understand."""
    code_point = ord(character)
    if code_point < _FIRST_NON_ASCII:
        return f"\\x{code_point:02x}"
    return f"\\u{code_point:04x}" if code_point <= _LARGEST_BMP else f"\\U{code_point:08x}"
