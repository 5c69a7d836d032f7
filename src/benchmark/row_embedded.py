"""The file of a row with its preprocessing inside: scored and timed from image files to labels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Unavailable
from src.benchmark import row_figures
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row_pipeline import (
    PipelineFiles,
    RowPipeline,
    chosen_files,
    timed_turn,
    warmed_up,
)
from src.benchmark.statistics import pipeline as statistics
from src.benchmark.statistics.latency import speedup
from src.benchmark.statistics.shares import wilson
from src.run.embedded import EmbeddedFigures, RawEmbedded
from src.run.manifest import Embedded
from src.run.pipeline import REFERENCE, AnswerSums, PipelineTurn
from src.run.record import Status
from src.run.rounds import named, numbered
from src.worker import protocol
from src.worker.answer import Logits
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess

_LEAST_WARMUP_SECONDS = 0.1  # no calls of the network have warmed up its process before


class RowEmbedded:
    """Measurement of the embedded file of a row. A failure ends only this file.

    Args:
        name: the format.
        embedded: its entry in the manifest; None if the file was not written.
        classes: K.
    """

    def __init__(self, name: str, embedded: Embedded | None, classes: int) -> None:
        self._name, self._embedded, self._classes = name, embedded, classes
        self._files = row_figures.FileFigures({}, None, as_exported=True)
        self._status: Status = embedded.status if embedded else "skipped"
        self._reason = embedded.reason if embedded else None
        self._is_asked = False
        self._place: tuple[Path, Limits, Path | None] | None = None
        self._worker: WorkerProcess | None = None
        self._process = -1  # of the row, that the worker belongs to
        self._rounds: dict[int, PipelineTurn] = {}
        self._warm = True  # at the end of no warm-up, calls still became faster
        self._against_file = AnswerSums()
        self._against_baseline: AnswerSums | None = None

    @property
    def is_answering(self) -> bool:
        """True if the file is to be scored."""
        return self._is_asked and self._status == "ok"

    def start(self, exports: Path, limits: Limits, python: Path | None) -> None:
        """Load the file in a process of its own, if there is one.

        Args:
            exports: the folder that holds the formats' folders.
            limits: of the process.
            python: interpreter of the row's processes; None for that of the format.
        """
        if self._embedded is None:
            return
        self._is_asked = True
        if not self.is_answering:
            return  # it was not written
        with self._ending():
            self._place = exports / self._embedded.folder, limits, python
            self._files = row_figures.of_files(self._place[0], self._embedded.files)
            missing = [path for path, sha256 in self._files.sha256.items() if sha256 is None]
            if missing:
                raise WorkerError(f"{', '.join(missing)} of the export is missing")
            self._open()

    def add(
        self,
        contents: list[bytes],
        logits: Logits,
        baseline: Logits | None,
        targets: NDArray[np.int64],
    ) -> None:
        """Classify a batch of n image files, and count the answers that differ.

        Args:
            contents: the files as they lie.
            logits: those of the file without its preprocessing, (n, K), by the reference pipeline.
            baseline: those of the baseline, (n, K); None without one.
            targets: the labels, (n,).
        """
        if not self.is_answering:
            return
        with self._ending():
            own = self._open().answer_files(contents)
            count = len(targets)
            self._against_file = statistics.added(self._against_file, own, logits, targets, count)
            if baseline is not None:
                sums = self._against_baseline or AnswerSums()
                self._against_baseline = statistics.added(sums, own, baseline, targets, count)

    def time(
        self, process: int, files: PipelineFiles, number: int, options: BenchmarkOptions
    ) -> None:
        """Time one turn, in a new process of this file if the row has one.

        Args:
            process: number of the row's process.
            files: the image files.
            number: number of the round, which selects the files.
            options: length of a turn and limit of the warm-up.
        """
        if not self.is_answering:
            return
        with self._ending():
            chosen = chosen_files(number, len(files.sample.contents))
            if self._process != process:
                if self._process >= 0:  # the process that was scored is the first
                    self._end_worker()
                self._process = process
                sample = files.sample
                self._open().ask(
                    protocol.HoldFiles(contents=sample.contents, preprocessing=sample.preprocessing)
                )
                least = max(options.warmup_seconds, _LEAST_WARMUP_SECONDS)
                self._warm &= warmed_up(
                    self._open(), chosen, replace(options, warmup_seconds=least)
                )
            turn, _ = timed_turn(self._open(), process, REFERENCE, chosen, options)
            self._rounds[number] = turn

    def end_timing(self) -> None:
        """End the process, and check that the file was timed and did not change."""
        self._end_worker()
        if not self.is_answering or self._place is None or self._embedded is None:
            return
        with self._ending():
            if row_figures.of_files(self._place[0], self._embedded.files) != self._files:
                raise WorkerError("its files were changed while they were measured")
            if not self._rounds:
                raise WorkerError("the row was not timed from image files to labels")

    def raw(self) -> RawEmbedded | None:
        """Return the raw measurement; None if there is no such file or it was not asked for."""
        if self._embedded is None or not self._is_asked:
            return None
        is_ok = self._status == "ok" and bool(self._rounds)
        return RawEmbedded(
            folder=self._embedded.folder,
            status="failed" if self._status == "ok" and not is_ok else self._status,
            reason=self._reason or (None if is_ok else "it was not timed"),
            sha256=self._files.sha256,
            size_bytes=self._files.size_bytes,
            rounds=named(self._rounds) if is_ok else {},
            warm=self._warm,
            against_file=self._against_file if is_ok else None,
            against_baseline=self._against_baseline if is_ok else None,
        )

    def restore(self, raw: RawEmbedded | None) -> None:
        """Restore what :meth:`raw` returned."""
        if raw is None:
            return
        self._is_asked, self._status, self._reason = True, raw.status, raw.reason
        self._files = row_figures.FileFigures(raw.sha256, raw.size_bytes, as_exported=True)
        self._rounds, self._warm = numbered(raw.rounds), raw.warm
        self._against_file = raw.against_file or AnswerSums()
        self._against_baseline = raw.against_baseline

    def figures(
        self, plain: RowPipeline, baseline: RowPipeline | None, max_drop: float
    ) -> EmbeddedFigures | None:
        """Return the figures; None if there is no such file or it was not asked for.

        Args:
            plain: the pipeline of the file without.
            baseline: that of the baseline; None without one.
            max_drop: top-1 accuracy that may be lost, as a share of 1.
        """
        raw = self.raw()
        if raw is None:
            return None
        if raw.against_file is None:
            return EmbeddedFigures(
                folder=raw.folder, status=raw.status, reason=raw.reason, sha256=raw.sha256
            )
        pipeline = statistics.figures(
            REFERENCE,
            self._rounds,
            speedup(baseline.reference, self._rounds) if baseline else None,
            speedup(plain.reference, self._rounds),
            statistics.compared(raw.against_file, max_drop),
            warm=self._warm,
        )
        sums = statistics.complete(raw.against_baseline, raw.against_file)
        flips = raw.against_file.flips
        low, high = wilson(flips / raw.against_file.images, raw.against_file.images)
        return EmbeddedFigures(
            folder=raw.folder,
            status="ok",
            reason=None,
            sha256=raw.sha256,
            size_bytes=raw.size_bytes,
            pipeline=pipeline,
            flipped_low=max(low, 0.0),
            flipped_high=min(high, 1.0),
            against_baseline=statistics.compared(sums, max_drop) if sums else None,
        )

    def close(self) -> None:
        """End the process, if there is one."""
        self._end_worker()

    def _open(self) -> WorkerProcess:
        """Return the process that has loaded the file; start it if there is none."""
        if self._worker is None:
            if self._place is None:
                raise WorkerError("the file was not loaded")
            folder, limits, python = self._place
            self._worker = WorkerProcess(self._name, folder, "cpu", limits, python=python)
            self._worker.ask(protocol.Load(classes=self._classes, embedded=True))
        return self._worker

    def _end_worker(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    @contextlib.contextmanager
    def _ending(self) -> Iterator[None]:
        """End the measurement of the file with the reason if the block fails."""
        try:
            yield
        except (Unavailable, WorkerError) as error:
            self._status = "skipped" if isinstance(error, Unavailable) else "failed"
            self._reason = str(error)
            self._end_worker()
