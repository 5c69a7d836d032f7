"""The base of every record in a run's files, and the kinds of values that fields hold.

msgspec checks the type, the bounds and the pattern of each field when a file is read. A
``__post_init__`` checks what holds between fields, also when a record is made here.

A field with the default None is left out of the file where it is None. A field with ``null()`` or
``empty_list()`` may be missing in a file of an earlier version, and is always written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sized
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

_MOST_SHOWN = 80  # characters
MOST_TEXT = 100_000  # characters
_MOST_SHORT = 255  # characters: a figure has room to draw them
_LARGEST_INT = 2**63 - 1
_LARGEST_FLOAT = sys.float_info.max
WORD_PATTERN = r"\A[A-Za-z0-9_][A-Za-z0-9_-]{0,99}\Z"
ROUND_PATTERN = r"\A(0|[1-9][0-9]{0,8})\Z"
NUMERAL_PATTERN = r"\A[0-9]{1,8}\Z"

Text = Annotated[str, Meta(max_length=MOST_TEXT)]
ShortText = Annotated[str, Meta(max_length=_MOST_SHORT)]
Word = Annotated[str, Meta(pattern=WORD_PATTERN)]  # as modules and folders are called
RoundNumber = Annotated[str, Meta(pattern=ROUND_PATTERN)]  # as a JSON key
Numeral = Annotated[str, Meta(pattern=NUMERAL_PATTERN)]  # a batch size or a round as a JSON key

Number = Annotated[float, Meta(ge=-_LARGEST_FLOAT, le=_LARGEST_FLOAT)]  # finite
Share = Annotated[float, Meta(ge=0, le=1)]
Difference = Annotated[float, Meta(ge=-1, le=1)]  # of two shares
Positive = Annotated[float, Meta(ge=1e-12, le=1e12)]  # seconds, bytes and what is made of them
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
LongSeconds = Annotated[float, Meta(ge=0, le=1e12)]
Joules = Annotated[float, Meta(ge=0, le=1e12)]
Bounded = Annotated[float, Meta(ge=-1e12, le=1e12)]  # cores, images or seconds
Count = Annotated[int, Meta(ge=0, le=10**15)]
Natural = Annotated[int, Meta(ge=1, le=_LARGEST_INT)]
Index = Annotated[int, Meta(ge=0, le=_LARGEST_INT)]
BatchSize = Annotated[int, Meta(ge=1, le=10**6)]
Cores = Annotated[int, Meta(ge=1, le=10**6)]
Side = Annotated[int, Meta(ge=1, le=32768)]  # pixels

Status = Literal["ok", "skipped", "failed"]
Device = Literal["cpu", "cuda"]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all records: immutable, made by keyword, readable from and writable as JSON."""


class Wrong(ValueError):  # noqa: N818  # a finding; whoever reads the file makes an error of it
    """A value that is not as expected.

    Args:
        place: of the value in the record, such as ``rows[0].verdict``.
        expected: a description of what belongs there.
        found: the value.
    """

    def __init__(self, place: str, expected: str, found: object) -> None:
        shown = repr(found)
        self._expected = expected
        self._found = found
        self.place = place
        self.expected = f"{expected} as {place or 'the whole'}"
        self.found = shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}..."
        super().__init__(f"{self.expected}; found {self.found}")

    def below(self, place: str) -> Wrong:
        """Return the same, of a record that is at ``place`` of another one."""
        dot = "." if place and self.place and not self.place.startswith("[") else ""
        return Wrong(f"{place}{dot}{self.place}", self._expected, self._found)


def null() -> Any:
    """Return a field that is None by default and is written as null."""
    return msgspec.field(default_factory=_nothing)


def empty_list() -> Any:
    """Return a field that is an empty list by default and is written all the same."""
    return msgspec.field(default_factory=lambda: [])  # noqa: PIE807  # msgspec omits that of list


def require_same_length(parts: Iterable[Sized], place: str) -> None:
    """Refuse lists that belong together and have different lengths."""
    lengths = {len(part) for part in parts}
    if len(lengths) > 1:
        raise Wrong(place, "lists of one length", sorted(lengths))


def require_inside(path: str, place: str) -> None:
    """Refuse the path of a file that may leave its folder, or that cannot be shown as it is."""
    parts = PurePosixPath(path)
    if not path.isprintable() or not parts.parts or parts.is_absolute() or ".." in parts.parts:
        raise Wrong(place, "a path that stays in its folder", path)


def _nothing() -> None:
    return None
