"""How many processes are behind a speed-up: what the table says where it was one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]

ONE_PROCESS = "one process"
_WIDEST = 1.5  # times the lower bound: a speed-up with a wider interval has too few rounds


def is_of_one(gain: Row) -> bool:
    """Whether the interval is assumed; of version 1, which does not tell, all have one note."""
    return bool(gain.get("processes") == 1)


def is_too_wide(gain: Row) -> bool:
    """Whether a speed-up's interval says nothing that helps to decide.

    That of one process is assumed to be wider than a factor of 1.5 to begin with.
    """
    widest = _WIDEST**2 if is_of_one(gain) else _WIDEST
    return bool(gain["high"] > widest * gain["low"])


def notes(results: Row) -> Iterator[str]:
    """Which intervals do not come from what differs between processes, and why."""
    if results["schema_version"] == 1:
        yield (
            "measured by an earlier version, each row in one process: the intervals do not cover "
            "the difference between processes, which is up to a quarter"
        )
    names = [
        row["format"]
        for row in results["rows"]
        if row["status"] == "ok" and any(is_of_one(gain) for gain in _gains(row))
    ]
    if names:
        yield (
            f"{ONE_PROCESS} ({', '.join(dict.fromkeys(names))}, or what it is compared with): the "
            "difference between processes was not measured; the interval assumes that it is at "
            "most a quarter. A file has one process where it takes longer to load than "
            "benchmark.max_seconds / benchmark.processes, or where that time was over"
        )


def _gains(row: Row) -> Iterator[Row]:
    """Every speed-up of a row."""
    for cell in row["latency"]:
        yield from (cell[name] for name in ("speedup", "speedup_same_runtime") if cell[name])
