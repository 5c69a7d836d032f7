"""Ranges of numeric options as types, ``Annotated[int, Range(...)]``, and their one check.

A parser of the command line sees the bare ``int`` or ``float``. Options check themselves with
:func:`require_ranges` when they are made, so ranges also hold where jsonargparse is not installed.
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from src.errors import UsageError


@dataclass(frozen=True)
class Range:
    """An interval of numbers, and the words of the error about a number outside of it.

    Args:
        expected: describes the interval.
        remedy: tells what to do instead; ``{argument}`` stands for the option's name.
        least: smallest allowed number.
        most: largest allowed number.
        above: number that is too small itself.
        below: number that is too large itself.
    """

    expected: str
    remedy: str = "leave out {argument} for its default"
    least: float = -math.inf
    most: float = math.inf
    above: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        """Return True if ``value`` lies within; NaN lies within no range."""
        if self.above is not None and not value > self.above:
            return False
        if self.below is not None and not value < self.below:
            return False
        return self.least <= value <= self.most

    def require(self, argument: str, value: Any) -> None:
        """Refuse a number outside of the range, or a tuple with such a number.

        Raises:
            UsageError: naming ``argument``.
        """
        values = value if isinstance(value, tuple | list) else [value]
        if not all(self.holds(number) for number in values):
            raise UsageError(
                argument,
                expected=self.expected,
                found=str(list(value) if isinstance(value, tuple) else value),
                remedy=self.remedy.format(argument=argument),
            )


_POSITIVE = Range("a positive number", above=0)

PositiveInt = Annotated[int, _POSITIVE]
"""A count from 1."""

OptionalPositiveInt = Annotated[int | None, _POSITIVE]
"""A count from 1, or None."""

PositiveFloat = Annotated[float, _POSITIVE]
"""A number above 0, in the unit that the option's name states."""

OptionalPositiveFloat = Annotated[float | None, _POSITIVE]
"""A number above 0, or None."""

LatencyLimit = Annotated[
    float | None,
    Range("seconds from 0.00001 to 1000", "for example {argument}=0.02", least=1e-5, most=1000),
]
"""A limit of a latency, in seconds, or None."""

AccuracyDrop = Annotated[
    float,
    Range("a share of 1, as 0.01 for one point", "leave it out for one point", least=0, below=1),
]
"""A loss of top-1 accuracy, as a share of 1."""


def require_ranges(options: object, group: str = "") -> None:
    """Check each field of a dataclass against the range in its type.

    ``None`` is in every range. A list is checked number by number.

    Args:
        options: a dataclass object.
        group: the options' group on the command line, without the dot.

    Raises:
        UsageError: naming the first option that is out of its range.
    """
    prefix = f"{group}." if group else ""
    for name, kind in get_type_hints(type(options), include_extras=True).items():
        value = getattr(options, name, None)
        for limits, number in _limited(kind, value):
            limits.require(f"{prefix}{name}", number)


def _limited(kind: Any, value: Any) -> Iterator[tuple[Range, Any]]:
    """Yield the ranges in a type, each with the value that it limits."""
    if value is None:
        return
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        yield from ((part, value) for part in arguments[1:] if isinstance(part, Range))
    elif origin in {Union, types.UnionType}:
        for argument in arguments:
            yield from _limited(argument, value)
    elif origin is list:
        for item in value:
            yield from _limited(arguments[0], item)
