"""What a JSON file must look like, checked before anything in it is used.

A check takes a value and the place it has in the file, and raises :class:`Wrong` if the value
will not do. What a file has beyond its shape is left alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from src.run import class_names

Check = Callable[[Any, str], None]

_MOST_TEXT = 100_000  # characters
_MOST_SHORT = 255
_MOST_SHOWN = 80
_LARGEST = 2**63 - 1
_WORD = re.compile(r"\w[\w-]{0,99}", re.ASCII)

_ROUND = re.compile(r"0|[1-9][0-9]{0,8}")


class Wrong(Exception):  # noqa: N818  # a finding; whoever reads the file makes an error of it
    """A value that will not do: its place in the file, what was expected, what was found."""

    def __init__(self, place: str, expected: str, found: Any) -> None:
        shown = repr(found)
        self.expected = f"{expected} as {place or 'the whole'}"
        self.found = shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}..."
        super().__init__(f"{self.expected}; found {self.found}")


def text(value: Any, place: str) -> None:
    """Characters that can be written again: no lone halves of any."""
    if not isinstance(value, str) or len(value) > _MOST_TEXT or not _encodes(value):
        raise Wrong(place, "a text", value)


def short(value: Any, place: str) -> None:
    """A text that a figure has room to draw."""
    if not isinstance(value, str) or len(value) > _MOST_SHORT or not _encodes(value):
        raise Wrong(place, f"a text of at most {_MOST_SHORT} characters", value)


def word(value: Any, place: str) -> None:
    """A name as modules and folders have it."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise Wrong(place, "a name of letters, digits and underscores", value)


def path_inside(value: Any, place: str) -> None:
    """The path of a file below the folder that it is told of."""
    text(value, place)
    path = PurePosixPath(value)
    if not value.isprintable() or not path.parts or path.is_absolute() or ".." in path.parts:
        raise Wrong(place, "a path that stays in its folder", value)


def truth(value: Any, place: str) -> None:
    if not isinstance(value, bool):
        raise Wrong(place, "true or false", value)


def anything(value: Any, place: str) -> None:
    """Whatever JSON can say."""


def names_of_classes(value: Any, place: str) -> None:
    listed(text)(value, place)
    if found := class_names.first_problem(value):
        raise Wrong(place, class_names.EXPECTED, found)


def number(low: float = -math.inf, high: float = math.inf) -> Check:
    """A finite number, whole or not, from ``low`` to ``high``."""

    def check(value: Any, place: str) -> None:
        sound = isinstance(value, int | float) and not isinstance(value, bool)
        # A whole number beyond that has no float, which is what all figures are made to be.
        within = sound and (abs(value) <= _LARGEST if type(value) is int else math.isfinite(value))
        if not (within and low <= value <= high):
            raise Wrong(place, f"a number{_range(low, high)}", value)

    return check


def whole(low: float = 0, high: float = _LARGEST) -> Check:
    """A whole number from ``low`` to ``high``."""

    def check(value: Any, place: str) -> None:
        if type(value) is not int or not low <= value <= high:
            raise Wrong(place, f"a whole number{_range(low, high)}", value)

    return check


def one_of(*values: str) -> Check:
    def check(value: Any, place: str) -> None:
        if value not in values or not isinstance(value, str):
            raise Wrong(place, f"one of {', '.join(values)}", value)

    return check


def optional(inner: Check) -> Check:
    """The same, or null."""

    def check(value: Any, place: str) -> None:
        if value is not None:
            inner(value, place)

    return check


def listed(inner: Check, least: int = 0, most: float = math.inf) -> Check:
    """A list of such values."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise Wrong(place, "a list" + (f" of at least {least}" if least else ""), value)
        for index, each in enumerate(value):
            inner(each, f"{place}[{index}]")

    return check


def round_number(value: Any, place: str) -> None:
    """A whole number, written as the name of something."""
    if not isinstance(value, str) or not _ROUND.fullmatch(value):
        raise Wrong(place, "the number of a round", value)


def mapping(inner: Check, key: Check = text, least: int = 0) -> Check:
    """An object whose names are not known beforehand."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict) or len(value) < least:
            raise Wrong(place, "an object" + (f" of at least {least}" if least else ""), value)
        for name, each in value.items():
            key(name, f"a name in {place}")
            inner(each, f"{place}.{name}")

    return check


def fields(required: Mapping[str, Check], may_have: Mapping[str, Check] | None = None) -> Check:
    """An object with these names, and perhaps those of ``may_have``."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise Wrong(place, "an object", value)
        for name, inner in required.items():
            if name not in value:
                raise Wrong(_below(place, name), "something", None)
            inner(value[name], _below(place, name))
        for name, inner in (may_have or {}).items():
            if name in value:
                inner(value[name], _below(place, name))

    return check


def all_of(*checks: Check) -> Check:
    def check(value: Any, place: str) -> None:
        for inner in checks:
            inner(value, place)

    return check


def same_length(parts: Iterable[Any], place: str) -> None:
    """Refuse lists that belong together and are not of one length."""
    lengths = {len(part) for part in parts}
    if len(lengths) > 1:
        raise Wrong(place, "lists of one length", sorted(lengths))


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _range(low: float, high: float) -> str:
    if low == -math.inf and high == math.inf:
        return ""
    if high in {math.inf, _LARGEST}:
        return f" of at least {low:g}"
    return f" from {low:g} to {high:g}"


def _encodes(value: str) -> bool:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
