"""Rounds of turns: who is next, who is precise enough, and when it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from src.benchmark.options import BenchmarkOptions
from src.benchmark.row import Row
from src.console import Report

# Precision is looked at only now and then, and not before the spread of the rounds is known:
# stopping at the first interval that happens to be narrow would make it too narrow.
LEAST_ROUNDS = 10
ROUNDS_BETWEEN_LOOKS = 5
ROUNDS_PAST_DEADLINE = 3  # below which an interval would be meaningless


class Schedule:
    """Takes the rows in turn at each batch size.

    Args:
        rows: all of them; those that are not ok are passed over.
        options: how long and how precisely.
        report: told who is timed and how long it still takes, in seconds.
        clock: seconds; replaced in tests.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        options: BenchmarkOptions,
        report: Report,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows = rows
        self._options = options
        self._report = report
        self._clock = clock
        self.baselines = {
            row.device: row for row in rows if row.name == options.baseline and row.ok
        }

    def run(self, batches: Sequence[NDArray[np.float32]]) -> None:
        """Time every row at each of ``batches``, (N, 3, H, W) each, within the time there is."""
        started = self._clock()
        for number, images in enumerate(batches):
            share = self._options.max_seconds * (number + 1) / len(batches)
            self._batch(images, started, started + share)

    def baseline_of(self, row: Row) -> Row | None:
        """The baseline on the row's own device; None where it did not run there.

        The baseline of another device says nothing about speed: where it fails on a GPU, the
        rows of the GPU have no speed-up.
        """
        return self._baseline_on(row.device)

    def reference_of(self, row: Row) -> Row | None:
        """The baseline to compare answers with: on the row's own device, else on the CPU.

        It is the trained network on either; None where it ran on neither.
        """
        return self._baseline_on(row.device) or self._baseline_on("cpu")

    def _baseline_on(self, device: str) -> Row | None:
        """The baseline there, unless it has failed since it was loaded."""
        found = self.baselines.get(device)
        return found if found is not None and found.ok else None

    def counterpart_of(self, row: Row) -> Row | None:
        """The fp32 file that the same runtime runs on the same device; None for one in fp32."""
        precision = row.figures["precision"]
        for other in self._rows:
            same = other.device == row.device and other.runtime == row.runtime is not None
            if same and other.ok and other.figures["precision"] == "fp32" != precision:
                return other
        return None

    def _batch(self, images: NDArray[np.float32], started: float, deadline: float) -> None:
        for number in range(self._options.rounds):
            if number >= ROUNDS_PAST_DEADLINE and self._clock() > deadline:
                return
            wanted = self._wanted(number, len(images))
            if not wanted:
                return
            for row in rotated([row for row in self._rows if row in wanted], number):
                self._report(
                    f"timing, {self._options.max_seconds:g} s at most",
                    f"{row.name} on {row.device}, batch {len(images)}, round {number + 1}",
                    # In hundredths, for a bar that moves.
                    int(100 * (self._clock() - started)),
                    int(100 * self._options.max_seconds),
                )
                row.time(images, number, self._options)

    def _wanted(self, number: int, size: int) -> list[Row]:
        """The rows that this round needs: the imprecise, and what they are compared with."""
        rows = [row for row in self._rows if row.ok]
        if number < LEAST_ROUNDS or number % ROUNDS_BETWEEN_LOOKS:
            # Between two looks whoever took part in the last round does so again.
            return [row for row in rows if number == 0 or number - 1 in row.rounds.get(size, {})]
        wanted = []
        for row in rows:
            others = [
                other
                for other in (self.baseline_of(row), self.counterpart_of(row))
                if other is not None and other is not row
            ]
            intervals = [row.speedup(other, size) for other in others]
            if any(each is None or each.half_width > self._options.precision for each in intervals):
                wanted += [row, *others]
        return wanted


def rotated(rows: Sequence[Row], number: int) -> list[Row]:
    """The order of one round: A B C, then C B A, then from the next row on.

    So no row always follows the same one, nor always comes first.
    """
    start = (number // 2) % len(rows)
    order = [*rows[start:], *rows[:start]]
    return order if number % 2 == 0 else order[::-1]
