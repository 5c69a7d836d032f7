"""How many processes are behind a speed-up: what the table says where it was one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]

ONE_PROCESS = "one process"
_FEW = 5  # processes of the default preset
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
    counts = {
        f"{row['format']} on {row['device']}": count
        for row in results["rows"]
        if (count := _fewest(row))
    }
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
    """The fewest processes behind a speed-up of a row; None where nothing tells."""
    gains = [cell[name] for cell in row["latency"] for name in ("speedup", "speedup_same_runtime")]
    return min((gain["processes"] for gain in gains if gain and "processes" in gain), default=None)
