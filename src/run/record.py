"""Base of all records in a run's files, and types of their fields.

msgspec checks the type, bounds and pattern of each field when a file is read. A ``__post_init__``
checks conditions between fields, also when a record is created in code.

A field with the default None is left out of the file if it is None. A field with ``null()`` or
``empty_list()`` is always written, and may be missing in a file of an earlier version.
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
_MOST_SHORT = 255  # characters that fit into a chart
_LARGEST_INT = 2**63 - 1
_LARGEST_FLOAT = sys.float_info.max
WORD_PATTERN = r"\A[A-Za-z0-9_][A-Za-z0-9_-]{0,99}\Z"
ROUND_PATTERN = r"\A(0|[1-9][0-9]{0,8})\Z"
NUMERAL_PATTERN = r"\A[0-9]{1,8}\Z"
LINE_PATTERN = r"\A[^\n\r]*\Z"

Text = Annotated[str, Meta(max_length=MOST_TEXT)]
ShortText = Annotated[str, Meta(max_length=_MOST_SHORT)]
Line = Annotated[Text, Meta(pattern=LINE_PATTERN)]
ShortLine = Annotated[ShortText, Meta(pattern=LINE_PATTERN)]
Word = Annotated[str, Meta(pattern=WORD_PATTERN)]  # a name for modules and folders
RoundNumber = Annotated[str, Meta(pattern=ROUND_PATTERN)]  # as a JSON key
Numeral = Annotated[str, Meta(pattern=NUMERAL_PATTERN)]  # a batch size or a round as a JSON key

Number = Annotated[float, Meta(ge=-_LARGEST_FLOAT, le=_LARGEST_FLOAT)]  # finite
Share = Annotated[float, Meta(ge=0, le=1)]
Difference = Annotated[float, Meta(ge=-1, le=1)]  # of two shares
Positive = Annotated[float, Meta(ge=1e-12, le=1e12)]  # seconds, bytes and their ratios
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
NativeDevice = Literal["cpu", "cuda"]
# A browser runs on the CPU, and is another destination: its files are shipped in a page.
Device = Literal["cpu", "cuda", "browser"]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all records: immutable, created by keyword, stored as JSON."""


class InvalidValueError(ValueError):
    """A value of a record is not as expected.

    Args:
        place: position in the record, such as ``rows[0].verdict``.
        expected: description of a valid value.
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

    def below(self, place: str) -> InvalidValueError:
        """Return the same error for a record that is at ``place`` in another record."""
        dot = "." if place and self.place and not self.place.startswith("[") else ""
        return InvalidValueError(f"{place}{dot}{self.place}", self._expected, self._found)


def null() -> Any:
    """Return a field whose default is None and which is written as null."""
    return msgspec.field(default_factory=_nothing)


def empty_list() -> Any:
    """Return a field whose default is an empty list and which is always written."""
    return msgspec.field(default_factory=lambda: [])  # noqa: PIE807  # msgspec omits the default of `list`


def empty_dict() -> Any:
    """Return a field whose default is an empty dictionary and which is always written."""
    return msgspec.field(default_factory=lambda: {})  # noqa: PIE807  # as for `list`


def require_same_length(parts: Iterable[Sized], place: str) -> None:
    """Refuse lists of different lengths."""
    lengths = {len(part) for part in parts}
    if len(lengths) > 1:
        raise InvalidValueError(place, "lists of one length", sorted(lengths))


def require_inside(path: str, place: str) -> None:
    """Refuse a path that may leave its folder or that has unprintable characters."""
    parts = PurePosixPath(path)
    if not path.isprintable() or not parts.parts or parts.is_absolute() or ".." in parts.parts:
        raise InvalidValueError(place, "a path that stays in its folder", path)


def _nothing() -> None:
    return None
