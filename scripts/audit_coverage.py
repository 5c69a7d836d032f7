"""Coverage of a speed-up's interval: one file under two names has a true speed-up of 1.

A number of intervals that held it is itself uncertain: 19 of 20 are had from intervals that hold
it in 75 % and from such that do in 99.9 %. So a coverage is given with an interval of its own.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from scipy.special import betaincinv

from src.benchmark.options import BenchmarkOptions
from src.benchmark.statistics import latency
from src.benchmark.statistics.latency import independent_groups, speedup
from src.run.latency import Cell as CellRecord
from src.run.latency import Turn
from src.run.reading import convert

NOMINAL = 0.95
LEAST = 0.90  # of the simulated ones, of which there are enough to tell

Check = tuple[str, str, str, bool]  # what was planted, the demand, what was found, met
# One process of each of two rows, and the rounds that both took part in.
Observed = Sequence[tuple[Turn, Turn]]
Cell = Mapping[str, Any]  # of benchmark.json


@dataclass(frozen=True)
class Coverage:
    """The number of intervals that held the truth."""

    held: int
    count: int

    @property
    def share(self) -> float:
        return self.held / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the share, by Clopper & Pearson (1934): never too narrow."""
        held, missed = self.held, self.count - self.held
        low = float(betaincinv(held, missed + 1, 0.025)) if held else 0.0
        high = float(betaincinv(held + 1, missed, 0.975)) if missed else 1.0
        return low, high

    def is_as_said(self) -> bool:
        """Return whether 95 % is within the coverage's own interval."""
        low, high = self.interval
        return low <= NOMINAL <= high

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.held} of {self.count}: {self.share:.3f} [{low:.3f}, {high:.3f}]"


class Sessions:
    """Measurements of A/A: by file, the cells of each of its names.

    Args:
        path: where they are kept, a line each; None to keep none.
        circumstances: all that the figures depend on, such as the machine.

    Raises:
        SystemExit: those in ``path`` were measured in other circumstances.
    """

    def __init__(
        self, path: Path | None = None, circumstances: Mapping[str, Any] | None = None
    ) -> None:
        self._path = path
        self._circumstances = json.loads(json.dumps(circumstances or {}, default=str))
        self._by_file: dict[str, list[dict[str, list[Cell]]]] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        for line in lines:
            kept = json.loads(line)
            self._require_alike(kept.get("circumstances", {}))
            self._by_file.setdefault(kept["file"], []).append(kept["cells"])

    def of(self, name: str) -> list[dict[str, list[Cell]]]:
        """Those of a file, in the order that they were made."""
        return self._by_file.get(name, [])

    def add(self, name: str, cells: dict[str, list[Cell]]) -> None:
        """Keep one more."""
        self._by_file.setdefault(name, []).append(cells)
        if self._path:
            with self._path.open("a", encoding="utf-8") as file:
                line = {"file": name, "circumstances": self._circumstances, "cells": cells}
                file.write(json.dumps(line) + "\n")

    def _require_alike(self, kept: Any) -> None:
        there, here, place = kept, self._circumstances, []
        while there != here and isinstance(there, dict) and isinstance(here, dict):
            key = next(key for key in {**here, **there} if here.get(key) != there.get(key))
            there, here, place = there.get(key), here.get(key), [*place, key]
        if there != here:
            sys.exit(
                f"error: --keep: expected sessions with {' '.join(place)} {here}; found {there} in "
                f"{self._path}; name another file"
            )


def cells_of(row: Mapping[str, Any]) -> list[Cell]:
    """Return the timed cells of a row.

    Raises:
        RuntimeError: the row failed, so it has none.
    """
    if row["status"] != "ok":
        raise RuntimeError(f"{row['format']}: {row['status']} ({row['reason']})")
    return list(row["latency"])


def rounds_of(cell: Cell) -> dict[int, Turn]:
    """Return the rounds of a stored cell."""
    return latency.rounds_of(convert(cell, CellRecord))


def of_intervals(intervals: Sequence[Mapping[str, float]], truth: float = 1.0) -> Coverage:
    """That of measured speed-ups, as ``benchmark.json`` has them."""
    held = sum(each["low"] <= truth <= each["high"] for each in intervals)
    return Coverage(held, len(intervals))


def observed(cell: Cell, other: Cell) -> list[Observed]:
    """Return the paired turns of two rows that were timed side by side, grouped by process."""
    ours, theirs = rounds_of(cell), rounds_of(other)
    pairs = {
        number: (ours[number].process, theirs[number].process)
        for number in ours
        if number in theirs
    }
    return [
        [(ours[number], theirs[number]) for number in sorted(group)]
        for group in independent_groups(pairs)
    ]


def simulated(pool: Sequence[Observed], processes: int, count: int, seed: int = 0) -> Coverage:
    """That of measurements put together at random from real processes of one file.

    Each is of so many pairs of processes, drawn without replacement, and in each pair the two
    names change places at random: so the truth is exactly 1, whatever was measured.

    Args:
        pool: pairs of processes, of several measurements of the same file under two names.
        processes: in a measurement.
        count: measurements to put together.
        seed: of the drawing.

    Raises:
        ValueError: there are fewer pairs than one measurement takes.
    """
    if len(pool) < processes:
        raise ValueError(f"{len(pool)} pairs of processes are too few for {processes} of them")
    generator = np.random.default_rng(seed)
    held = 0
    for _ in range(count):
        one: dict[int, Turn] = {}
        other: dict[int, Turn] = {}
        drawn = generator.choice(len(pool), size=processes, replace=False)
        for process, index in enumerate(drawn):
            swapped = generator.random() < 0.5  # noqa: PLR2004
            for ours, theirs in pool[index]:
                first, second = (theirs, ours) if swapped else (ours, theirs)
                number = len(one)
                one[number] = msgspec.structs.replace(first, process=process)
                other[number] = msgspec.structs.replace(second, process=process)
        interval = speedup(one, other)
        held += interval is not None and interval.low <= 1 <= interval.high
    return Coverage(held, count)


def held(
    planted: str,
    cells: Sequence[tuple[Cell, Cell]],
    simulations: int,
    widest: float = BenchmarkOptions.precision,
) -> Iterator[Check]:
    """Check the coverage and the width of the intervals of what is the same under two names.

    Args:
        planted: words for it.
        cells: those of both names, by session.
        simulations: measurements to put together.
        widest: median half width to demand, as a share.
    """
    gains = [twin["speedup"] for _, twin in cells]
    real = of_intervals(gains)
    yield (
        f"{planted}, sessions", f"the coverage's interval holds {NOMINAL}", str(real),
        real.is_as_said(),
    )  # fmt: skip
    pool = [pair for cell, twin in cells for pair in observed(cell, twin)]
    if len(pool) >= BenchmarkOptions().processes:
        put_together = simulated(pool, BenchmarkOptions().processes, simulations)
        yield (
            f"{planted}, simulated from {len(pool)} pairs of processes",
            f"... and the coverage is at least {LEAST}", str(put_together),
            put_together.is_as_said() and put_together.share >= LEAST,
        )  # fmt: skip
    width = statistics.median((each["high"] - each["low"]) / 2 / each["value"] for each in gains)
    processes = statistics.median(each["processes"] for each in gains)
    yield (
        planted, f"median half-width at most {widest:.0%}",
        f"{width:.1%}, of {processes:g} processes (medians)", width <= widest,
    )  # fmt: skip


def found(planted: str, gains: Sequence[dict[str, float]]) -> Check:
    """Check that the intervals show a planted slow-down."""
    seen = sum(each["high"] < 1 for each in gains)
    middle = statistics.median(each["value"] for each in gains)
    return (
        planted, f"slower in at least {NOMINAL:.0%} of the intervals",
        f"{seen} of {len(gains)}, median ratio {middle:.3f} (planted 0.952)",
        seen >= NOMINAL * len(gains),
    )  # fmt: skip


def shown(intervals: Sequence[Mapping[str, float]]) -> str:
    """Return intervals in one line."""
    return " ".join(
        f"{each['value']:.3f} [{each['low']:.3f}, {each['high']:.3f}]" for each in intervals
    )
