"""Speed-ups in words: the evidence of the interval, and the number of processes behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from enum import Enum, auto

from src.report.document import MISSING, Cell
from src.report.sections.rows import name_of
from src.run.latency import Interval
from src.run.results import Results
from src.run.row import Row

ONE_PROCESS = "one process"
_FEW = 5  # processes of the default preset
_WIDEST = 1.5  # times the lower bound: a speed-up with a wider interval has too few rounds
_CLOSE = 1.1  # a ratio below is shown with two digits after the point
_MOST_DIGITS = 6  # after the point


class Evidence(Enum):
    """Conclusions that the interval of a speed-up allows."""

    FASTER = auto()
    SLOWER = auto()
    EVEN = auto()  # the interval contains 1
    AT_LEAST = auto()  # faster, but the interval is too wide to say by how much
    AT_MOST = auto()  # slower, but the interval is too wide to say by how much
    NONE = auto()  # the interval contains 1 and is too wide to call the two even


def evidence(gain: Interval) -> Evidence:
    """Return the conclusion from the interval of a speed-up, for tables and sentences alike."""
    too_wide = is_too_wide(gain)
    if gain.low > 1:
        return Evidence.AT_LEAST if too_wide else Evidence.FASTER
    if gain.high < 1:
        return Evidence.AT_MOST if too_wide else Evidence.SLOWER
    return Evidence.NONE if too_wide else Evidence.EVEN


def is_too_wide(gain: Interval) -> bool:
    """Return True if the interval is too wide for its middle value to be worth showing.

    The interval of a single process is an assumption, wider than a factor of 1.5 by itself, so
    its limit is wider.
    """
    widest = _WIDEST**2 if is_of_one(gain) else _WIDEST
    return gain.high > widest * gain.low


def is_of_one(gain: Interval) -> bool:
    """Return True if a speed-up was measured in one process, so that its interval is assumed.

    Version 1 of ``benchmark.json`` does not store it; all its speed-ups share one note.
    """
    return gain.processes == 1


def factor(value: float, digits: int = 1) -> str:
    """Return a ratio such as 2.0, with as many digits as tell it from 1 and from 0.

    Args:
        value: the ratio.
        digits: after the point; a ratio below 1.1 has two at least.
    """
    if value < _CLOSE:
        digits = max(digits, 2)
    while digits < _MOST_DIGITS and value != round(value, digits) in {0.0, 1.0}:
        digits += 1
    return f"{value:.{digits}f}"


def at_least(value: float) -> str:
    """Return a lower bound as :func:`factor` does, rounded down, so that it stays one."""
    return _bound(value, math.floor)


def at_most(value: float) -> str:
    """Return an upper bound as :func:`factor` does, rounded up, so that it stays one."""
    return _bound(value, math.ceil)


def _bound(value: float, towards: Callable[[float], int]) -> str:
    digits = 1 if value >= _CLOSE else 2
    while True:
        scaled = round(value * 10**digits, _MOST_DIGITS)  # without the error of the product
        bound = towards(scaled) / 10**digits
        if digits == _MOST_DIGITS or bound not in {0.0, 1.0} or bound == value:
            return f"{bound:.{digits}f}"
        digits += 1


def interval_of(gain: Interval) -> str:
    """Return the 95 % interval in brackets."""
    return f"[{factor(gain.low, 2)}, {factor(gain.high, 2)}]"


def cell(gain: Interval | None) -> Cell:
    """Return the cell of a table that shows a speed-up."""
    if gain is None:
        return Cell(MISSING)
    interval = interval_of(gain)
    if is_of_one(gain):
        interval += f" {ONE_PROCESS}"
    shown = evidence(gain)
    figure = {
        Evidence.AT_LEAST: f"at least {at_least(gain.low)}",
        Evidence.AT_MOST: f"at most {at_most(gain.high)}",
        Evidence.EVEN: "no measurable difference",
        Evidence.NONE: "too few rounds to tell",
    }.get(shown, factor(gain.value, 2))
    is_number = shown in {Evidence.FASTER, Evidence.SLOWER}
    return Cell(figure, interval, value=gain.value, is_number=is_number)


def notes(results: Results) -> Iterator[str]:
    """Yield notes on intervals that do not cover the difference between enough processes."""
    if results.schema_version == 1:
        yield (
            "measured by an earlier version, each row in one process: the intervals do not cover "
            "the difference between processes, which is up to a quarter"
        )
    counts = {name_of(row): count for row in results.rows if (count := _fewest(row))}
    if one := [name for name, count in counts.items() if count == 1]:
        yield (
            f"{ONE_PROCESS} ({', '.join(one)}, or what it is compared with): the difference "
            "between processes was not measured; the interval assumes that it is at most a "
            "quarter. A file has one process with benchmark.processes=1, where it takes longer to "
            "load than benchmark.max_seconds / benchmark.processes, or where that time was over"
        )
    if few := [f"{name}: {count}" for name, count in counts.items() if 1 < count < _FEW]:
        yield (
            f"few processes ({', '.join(few)}): benchmark.processes or benchmark.max_seconds "
            "allowed no more; the interval is as wide as so few deserve"
        )


def _fewest(row: Row) -> int | None:
    """Return the fewest processes behind a speed-up of a row; None if that was not recorded."""
    gains = [gain for cell in row.latency for gain in (cell.speedup, cell.speedup_same_runtime)]
    return min((gain.processes for gain in gains if gain and gain.processes), default=None)
