"""Processes and rounds of turns: who is next, who is precise enough, and when it ends."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from src.benchmark.concurrency import run_together
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row import Row
from src.system.console import Report

# Precision is looked at only now and then, and not before the spread of the processes is known:
# stopping at the first interval that happens to be narrow would make it too narrow. In 4,000
# simulated measurements with these looks the intervals held the truth in 93.5 to 95.5 %.
PROCESSES_BEFORE_A_LOOK = 8
PROCESSES_BETWEEN_LOOKS = 4
# In each process, even past the time there is: of three one may be interrupted.
LEAST_ROUNDS = 3


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
        self._started = clock()
        self._share = options.max_seconds / options.processes  # seconds of each process
        self._rounds: Counter[int] = Counter()  # by batch size
        self.baselines: dict[str, Row] = {
            row.device: row for row in rows if row.name == options.baseline and row.ok
        }

    def run(self, batches: Sequence[NDArray[np.float32]]) -> None:
        """Time every row at each of ``batches``, (N, 3, H, W) each, within the time there is.

        Every row gets a process, then a few rounds at each batch size, then all that may be get
        another process, and so on: nothing is timed while a process starts.
        """
        self._started = self._clock()
        wanted = [[row for row in self._rows if row.ok] for _ in batches]
        for process in range(self._options.processes):
            if process and self._clock() > self._started + self._options.max_seconds:
                return
            if _is_look(process):
                wanted = [self._imprecise(len(images)) for images in batches]
            if process:
                self._renew(
                    [row for row in self._rows if any(row in rows for rows in wanted)], process
                )
            share = self._started + self._share * (process + 1)
            for position, (images, rows) in enumerate(zip(batches, wanted, strict=True)):
                now = self._clock()
                deadline = now + (share - now) / (len(batches) - position)
                self._batch(images, rows, process, deadline)

    def baseline_of(self, row: Row) -> Row | None:
        """Return the baseline on the row's own device; None where it did not run there.

        The baseline of another device says nothing about speed: where it fails on a GPU, the
        rows of the GPU have no speed-up.
        """
        return self._baseline_on(row.device)

    def reference_of(self, row: Row) -> Row | None:
        """Return the baseline to compare answers with: on the row's own device, else on the CPU.

        It is the trained network on either; None where it ran on neither.
        """
        return self._baseline_on(row.device) or self._baseline_on("cpu")

    def _baseline_on(self, device: str) -> Row | None:
        """Return the baseline there, unless it has failed since it was loaded."""
        baseline = self.baselines.get(device)
        return baseline if baseline is not None and baseline.ok else None

    def counterpart_of(self, row: Row) -> Row | None:
        """Return the fp32 file of the same runtime and device; None for a row in fp32."""
        precision = row.figures.precision
        for other in self._rows:
            same = other.device == row.device and other.runtime == row.runtime is not None
            if same and other.ok and other.figures.precision == "fp32" != precision:
                return other
        return None

    def _renew(self, rows: Sequence[Row], process: int) -> None:
        """Give each row a new process, but for files that would spend the time with loading.

        All import their runtimes at once, then one after the other loads its file.
        """
        renewed = [row for row in rows if row.ok and (row.figures.load_seconds or 0) <= self._share]
        self._tell(f"starting process {process + 1} of {self._options.processes} of each file")
        for row in renewed:
            row.begin_process()
        run_together([row.open_process for row in renewed], self._options.loads_at_once)

    def _batch(
        self, images: NDArray[np.float32], rows: Sequence[Row], process: int, deadline: float
    ) -> None:
        """Rounds at one batch size in the processes that there are."""
        size = len(images)
        for done in range(self._options.rounds):
            running = [row for row in rows if row.ok]
            if not running or (done >= LEAST_ROUNDS and self._clock() > deadline):
                return
            number = self._rounds[size]
            self._rounds[size] += 1
            for row in rotated(running, number):
                self._tell(
                    f"{row.name} on {row.device}, batch {size}, process {process + 1}, "
                    f"round {done + 1}"
                )
                row.time(images, number, self._options)

    def _tell(self, what: str) -> None:
        most = self._options.max_seconds
        # In hundredths, for a bar that moves.
        done = int(100 * min(self._clock() - self._started, most))
        self._report(f"timing, {most:g} s at most", what, done, int(100 * most))

    def _imprecise(self, size: int) -> list[Row]:
        """Return the rows that need another process, and those that they are compared with.

        Not one that has but one process: more rounds would make nothing of it more precise.
        """
        imprecise: set[Row] = set()
        for row in self._rows:
            for other in (self.baseline_of(row), self.counterpart_of(row)) if row.ok else ():
                interval = row.speedup(other, size) if other not in {None, row} else None
                if other is None or interval is None or interval.processes == 1:
                    continue
                if interval.half_width > self._options.precision:
                    imprecise |= {row, other}
        return [row for row in self._rows if row in imprecise]


def _is_look(process: int) -> bool:
    """Return True if the precision is looked at before this process."""
    since = process - PROCESSES_BEFORE_A_LOOK
    return since >= 0 and since % PROCESSES_BETWEEN_LOOKS == 0


def rotated(rows: Sequence[Row], number: int) -> list[Row]:
    """Return the order of one round: A B C, then C B A, then from the next row on.

    So no row always follows the same one, nor always comes first.
    """
    start = (number // 2) % len(rows)
    order = [*rows[start:], *rows[:start]]
    return order if number % 2 == 0 else order[::-1]
