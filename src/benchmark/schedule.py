"""Order and end of the timing: processes, rounds and turns of all rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from src.benchmark.concurrency import run_concurrently
from src.benchmark.options import BenchmarkOptions
from src.benchmark.pipeline_files import number_of_pipelines
from src.benchmark.recommendation import is_about_pipelines
from src.benchmark.row import Row
from src.benchmark.row_pipeline import PipelineFiles, with_limited_warmup
from src.run.latency import Interval
from src.system.console import Report

# Precision is checked rarely, and not before the spread of the processes is known. Stopping at the
# first interval that happens to be narrow would give intervals that are too narrow. In 4,000
# simulated measurements with these checks, 93.5 to 95.5 % of the intervals held the true value.
PROCESSES_BEFORE_FIRST_CHECK = 8
PROCESSES_BETWEEN_CHECKS = 4
# In each process, even after the time limit: one of three rounds may be interrupted.
LEAST_ROUNDS = 3
# Part of a process's time for its pipelines, as a share of that of a batch size, where another
# figure decides. Where the pipeline decides, it has the part of a batch size.
PIPELINE_PART = 0.25

Item = TypeVar("Item")


class Schedule:
    """Schedule of the timing: takes the rows in turn at each batch size.

    Args:
        rows: all rows; those that are not ok are skipped.
        options: time limits and target precision.
        report: gets the row that is timed and the elapsed share of the time limit.
        clock: returns seconds; replaced in tests.
        pairs: the rows whose speed-ups must be precise, each with the row that it is compared with;
            None for all rows with their baselines and their fp32 rows.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        options: BenchmarkOptions,
        report: Report,
        clock: Callable[[], float] = time.monotonic,
        pairs: Sequence[tuple[Row, Row]] | None = None,
    ) -> None:
        self._rows = rows
        self._options = options
        self._report = report
        self._clock = clock
        self._given_pairs = pairs
        self._started = clock()
        self._process_seconds = options.max_seconds / options.processes
        self._rounds: Counter[int] = Counter()  # by batch size
        self._pipeline_rounds = 0
        self.baselines: dict[str, Row] = {
            row.device: row for row in rows if row.name == options.baseline and row.ok
        }

    def run(
        self, batches: Sequence[NDArray[np.float32]], files: PipelineFiles | None = None
    ) -> None:
        """Time every row at each batch until the time limit or the target precision.

        Every row has a process and gets a few rounds at each batch size, and a few rounds from
        image files to labels, last in each process: decoding changes the state of the heap. They
        have as much time as a batch size where the recommendation is about them. Then
        the rows that need it get another process, and so on. Nothing is timed while a process
        starts.

        Args:
            batches: (N, 3, H, W) each.
            files: image files of the pipelines; None to time none.
        """
        self._started = self._clock()
        rows_of_batch = [[row for row in self._rows if row.ok] for _ in batches]
        timed = {row for row in self._rows if row.ok}
        for process in range(self._options.processes):
            if process and self._clock() > self._started + self._options.max_seconds:
                return
            if precision_is_checked(process):
                rows_of_batch = [self._imprecise(len(images)) for images in batches]
                timed = {row for rows in rows_of_batch for row in rows}
                if files is not None and self._pipeline_decides(files):
                    timed |= self._imprecise_pipelines()
            if process:
                self._renew([row for row in self._rows if row in timed], process)
            end = self._started + self._process_seconds * (process + 1)
            parts = len(batches) + (self._pipeline_part(files) if files else 0)
            for position, (images, rows) in enumerate(zip(batches, rows_of_batch, strict=True)):
                now = self._clock()
                deadline = now + (end - now) / (parts - position)
                self._run_rounds(images, rows, process, deadline)
            if files is not None:
                in_order = [row for row in self._rows if row in timed]
                self._run_pipelines(files, in_order, process, end)

    def baseline_of(self, row: Row) -> Row | None:
        """Return the baseline on the row's own device; None if it did not run there.

        Speeds on different devices are not comparable: if the baseline fails on a GPU, the rows
        of the GPU have no speed-up.
        """
        return self._baseline_on(row.device)

    def reference_of(self, row: Row) -> Row | None:
        """Return the baseline to compare logits with: on the row's own device, else on the CPU.

        It computes the trained network on either device. None if it ran on neither.
        """
        return self._baseline_on(row.device) or self._baseline_on("cpu")

    def _baseline_on(self, device: str) -> Row | None:
        """Return the baseline on a device; None if it has failed since it was loaded."""
        baseline = self.baselines.get(device)
        return baseline if baseline is not None and baseline.ok else None

    def counterpart_of(self, row: Row) -> Row | None:
        """Return the fp32 row of the same runtime and device; None for an fp32 row.

        It is of the trained network: an int8 twin in fp32 is another one.
        """
        precision = row.figures.precision
        for other in self._rows:
            if other.figures.is_of_twin:
                continue
            is_alike = other.device == row.device and other.runtime == row.runtime is not None
            if is_alike and other.ok and other.figures.precision == "fp32" != precision:
                return other
        return None

    def _renew(self, rows: Sequence[Row], process: int) -> None:
        """Give each row a new process, except files that take too long to load.

        All processes import their runtimes at the same time. Then the files are loaded, by default
        one after the other. The order rotates with the processes: a process that was loaded before
        others may be slower than they are for as long as it runs.
        """
        renewed = [row for row in rows if row.ok and self._is_renewed(row)]
        self._report_progress(
            f"starting process {process + 1} of {self._options.processes} of each file"
        )
        in_order = rotated(renewed, process) if renewed else []
        for row in in_order:
            row.begin_process()
        run_concurrently([row.open_process for row in in_order], self._options.loads_at_once)

    def _is_renewed(self, row: Row) -> bool:
        """Return True if a row gets new processes: its file does not take too long to load."""
        return (row.figures.load_seconds or 0) <= self._process_seconds

    def _run_rounds(
        self, images: NDArray[np.float32], rows: Sequence[Row], process: int, deadline: float
    ) -> None:
        """Run rounds at one batch size in the current processes, until the deadline."""
        size = len(images)
        for done in range(self._options.rounds):
            ok_rows = [row for row in rows if row.ok]
            if not ok_rows or (done >= LEAST_ROUNDS and self._clock() > deadline):
                return
            number = self._rounds[size]
            self._rounds[size] += 1
            for row in rotated(ok_rows, number):
                self._report_progress(
                    f"{row.name} on {row.device}, batch {size}, process {process + 1}, "
                    f"round {done + 1}"
                )
                row.time(images, number, self._options)

    def _run_pipelines(
        self, files: PipelineFiles, rows: Sequence[Row], process: int, deadline: float
    ) -> None:
        """Run rounds of pipelines in the current processes, until the deadline.

        After the deadline it is one, and two in the first process: two rounds give an interval.
        """
        options = with_limited_warmup(self._options, number_of_pipelines(rows))
        for done in range(self._options.rounds):
            ok_rows = [row for row in rows if row.ok]
            least = 1 if process else 2
            if not ok_rows or (done >= least and self._clock() > deadline):
                return
            number = self._pipeline_rounds
            self._pipeline_rounds += 1
            for row in rotated(ok_rows, number):
                self._report_progress(
                    f"{row.name} on {row.device}, from the file to the label, process "
                    f"{process + 1}, round {done + 1}"
                )
                row.time_pipeline(files, number, options)

    def _pipeline_part(self, files: PipelineFiles) -> float:
        """Return the pipelines' part of the time, as a share of that of a batch size."""
        return 1.0 if self._pipeline_decides(files) else PIPELINE_PART

    def _pipeline_decides(self, files: PipelineFiles) -> bool:
        """Return True if the recommendation is meant to be about the pipeline."""
        return is_about_pipelines(self._options.objective, files.sample.facts)

    def _report_progress(self, step: str) -> None:
        limit = self._options.max_seconds
        # In hundredths of a second: the report takes whole numbers, and the bar must move.
        done = int(100 * min(self._clock() - self._started, limit))
        self._report(f"timing, {limit:g} s at most", step, done, int(100 * limit))

    def _imprecise(self, size: int) -> list[Row]:
        """Return the rows that need another process for their calls at a batch size."""
        alone: Sequence[Row] = ()  # of given pairs, a row without its other one tells nothing
        pairs = self._given_pairs
        if pairs is None:
            alone = self._rows
            references = (self.baseline_of, self.counterpart_of)
            pairs = [
                (row, other)
                for row in self._rows
                for reference_of in references
                if (other := reference_of(row)) is not None
            ]
        imprecise = self._imprecise_of(alone, pairs, lambda row, other: row.speedup(other, size))
        return [row for row in self._rows if row in imprecise]

    def _imprecise_pipelines(self) -> set[Row]:
        """Return the rows that need another process for their pipelines."""
        timed = [row for row in self._rows if row.pipeline.reason is None]
        pairs = [
            (row, other)
            for row in timed
            if (other := self.baseline_of(row)) is not None and other in timed
        ]
        return self._imprecise_of(
            timed, pairs, lambda row, other: row.pipeline.over(other.pipeline)
        )

    def _imprecise_of(
        self,
        rows: Sequence[Row],
        pairs: Sequence[tuple[Row, Row]],
        speedup: Callable[[Row, Row], Interval | None],
    ) -> set[Row]:
        """Return the rows that need another process, and the rows they are compared with.

        Neither more rounds nor other processes of its pair help a row that keeps its first process.

        Args:
            rows: rows that need another process even if they are in no pair: nothing tells how
                precise they are.
            pairs: each row with the one that it is compared with.
            speedup: returns the interval of a pair.
        """
        compared = [pair for pair in pairs if pair[0] is not pair[1] and pair[0].ok and pair[1].ok]
        in_pairs = {row for pair in compared for row in pair}
        imprecise = {
            row for row in rows if row.ok and row not in in_pairs and self._is_renewed(row)
        }
        for row, other in compared:
            interval = speedup(row, other)
            if interval is None or (
                interval.processes != 1 and interval.half_width > self._options.precision
            ):
                imprecise |= {row, other}
        return imprecise


def precision_is_checked(process: int) -> bool:
    """Return True if the precision of the rows is checked before this process."""
    since = process - PROCESSES_BEFORE_FIRST_CHECK
    return since >= 0 and since % PROCESSES_BETWEEN_CHECKS == 0


def rotated(rows: Sequence[Item], number: int) -> list[Item]:
    """Return rows, or anything else that is timed in turn, in the order of one round.

    Round 0 is A B C, round 1 is C B A, and round 2 starts with the next row: B C A. So no row
    always follows the same row or always comes first.
    """
    start = (number // 2) % len(rows)
    order = [*rows[start:], *rows[:start]]
    return order if number % 2 == 0 else order[::-1]
