"""The pipeline of one row: timed turns by decoder, and the answers after each decoder."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from src.benchmark.environment.interference import Observation
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row_processes import RowProcesses
from src.benchmark.statistics import pipeline as statistics
from src.benchmark.statistics.latency import speedup
from src.benchmark.turn import WARM
from src.data.pipeline.encoded import EncodedImages
from src.run.latency import Interval
from src.run.pipeline import (
    DECODERS,
    REFERENCE,
    AnswerSums,
    Decoder,
    Pipeline,
    PipelineTurn,
    RawPipeline,
)
from src.run.rounds import named, numbered
from src.worker import protocol
from src.worker.answer import Logits
from src.worker.errors import WorkerError
from src.worker.process import WorkerProcess

FILES = 4  # of a turn, each taken equally often
# Share of the time of a process that the warm-ups of all its pipelines together may take.
WARMUP_SHARE = 0.02


class PipelineFiles(NamedTuple):
    """The image files that all rows are timed on, and the decoders to time.

    ``left_out`` has the reasons of the decoders that cannot be used with any row.
    """

    sample: EncodedImages
    decoders: list[Decoder]
    left_out: dict[Decoder, str]


class RowPipeline:
    """Raw measurement of the pipeline of one row."""

    def __init__(self) -> None:
        self._rounds: dict[Decoder, dict[int, PipelineTurn]] = {}
        self._answers: dict[Decoder, AnswerSums] = {}
        self._against_baseline: dict[Decoder, AnswerSums] = {}
        self._held: int | None = None  # the process that holds the files
        self.reason: str | None = None  # why it cannot be timed
        self.left_out: dict[Decoder, str] = {}  # reasons of the decoders that are not timed
        self.settled = True  # used no CPU between its turns
        self._warm = True  # at the end of no warm-up, calls still became faster

    @property
    def files(self) -> set[int]:
        """Positions of the files that were timed."""
        turns = self.reference.values()
        return {file for turn in turns for file in turn.files or ()}

    @property
    def reference(self) -> dict[int, PipelineTurn]:
        """The rounds with the reference decoder."""
        return self._rounds.get(REFERENCE, {})

    def time(
        self,
        processes: RowProcesses,
        files: PipelineFiles,
        number: int,
        options: BenchmarkOptions,
    ) -> None:
        """Time one turn with each decoder, on the files of the round.

        The first turn of a process also sends the files, and classifies some until it is warm. If a
        call fails, the row has no pipeline; its other figures are not affected. They are of a new
        process if this one has ended.

        Args:
            processes: those of the row.
            files: the files.
            number: number of the round, which selects the files.
            options: length of a turn and limit of the warm-up: see :func:`with_limited_warmup`.

        Raises:
            Unavailable: the format cannot run here any more.
            WorkerError: a new process in the place of one that has ended fails.
        """
        if self.reason is not None:
            return
        try:
            self._time(processes, files, number, options)
        except WorkerError as error:
            self.reason, self._rounds, self._answers = str(error), {}, {}
            self._against_baseline = {}
            self.left_out = {}
            processes.replace_if_ended()

    def _time(
        self,
        processes: RowProcesses,
        files: PipelineFiles,
        number: int,
        options: BenchmarkOptions,
    ) -> None:
        worker, process = processes.current, processes.number
        chosen = chosen_files(number, len(files.sample.contents))
        if self._held != process:
            sample = files.sample
            held = worker.ask(
                protocol.HoldFiles(
                    contents=sample.contents,
                    preprocessing=sample.preprocessing,
                    decoders=files.decoders,
                )
            )
            self.left_out = {**files.left_out, **held.left_out}
            self._held = process
            self._warm &= warmed_up(worker, chosen, options)
        for decoder in files.decoders[:: 1 if number % 2 == 0 else -1]:
            if decoder in self.left_out:
                continue
            turn, is_idle = timed_turn(worker, process, decoder, chosen, options)
            self._rounds.setdefault(decoder, {})[number] = turn
            self.settled &= is_idle

    def over(self, baseline: RowPipeline) -> Interval | None:
        """Return how many times faster the whole is than a baseline's; None with too few rounds.

        Both are with the reference decoder.
        """
        return speedup(baseline.reference, self.reference)

    def add_answers(
        self,
        decoder: Decoder,
        logits: Logits,
        others: tuple[Logits, Logits | None],
        targets: NDArray[np.int64],
        otherwise: int,
    ) -> None:
        """Count a batch of answers: see :func:`src.benchmark.statistics.pipeline.added`.

        Args:
            decoder: the decoder.
            logits: of n images by the decoder, (n, K).
            others: by the reference decoder, those of the row and of the baseline (None without).
            targets: the labels, (n,).
            otherwise: number of images that the decoder gives other pixels.
        """
        reference, baseline = others
        sums = self._answers.get(decoder, AnswerSums())
        self._answers[decoder] = statistics.added(sums, logits, reference, targets, otherwise)
        if baseline is not None:
            sums = self._against_baseline.get(decoder, AnswerSums())
            self._against_baseline[decoder] = statistics.added(
                sums, logits, baseline, targets, len(targets)
            )

    def raw(self) -> RawPipeline | None:
        """Return the raw measurement; None if nothing was timed."""
        if not self._rounds:
            return None
        rounds = {decoder: named(turns) for decoder, turns in self._rounds.items()}
        answers, against_baseline = (
            {decoder: sums for decoder, sums in counted.items() if decoder in rounds}
            for counted in (self._answers, self._against_baseline)
        )
        return RawPipeline(
            rounds=rounds, answers=answers, against_baseline=against_baseline, warm=self._warm
        )

    def restore(self, raw: RawPipeline | None) -> None:
        """Restore what :meth:`raw` returned."""
        if raw is None:
            return
        self._rounds = {decoder: numbered(turns) for decoder, turns in raw.rounds.items()}
        self._answers = dict(raw.answers)
        self._against_baseline = dict(raw.against_baseline)
        self._warm = raw.warm

    def figures(self, baseline: RowPipeline | None, max_drop: float) -> list[Pipeline]:
        """Return the figures of each decoder, the reference first.

        Args:
            baseline: that of the row that the speed is compared with; None without one.
            max_drop: top-1 accuracy that a decoder may lose, as a share of 1.
        """
        over = baseline.reference if baseline else {}
        figures = []
        for decoder in [name for name in DECODERS if name in self._rounds]:
            rounds, is_reference = self._rounds[decoder], decoder == REFERENCE
            own = self._answers.get(decoder)
            in_all = statistics.complete(self._against_baseline.get(decoder), own)
            answers, lost_in_all = (
                statistics.compared(sums, max_drop) if sums else None for sums in (own, in_all)
            )
            figures.append(
                statistics.figures(
                    decoder,
                    rounds,
                    None if is_reference and baseline is self else speedup(over, rounds),
                    None if is_reference else speedup(self.reference, rounds),
                    answers,
                    against_baseline=lost_in_all,
                    warm=self._warm,
                )
            )
        return figures


def chosen_files(number: int, count: int) -> list[int]:
    """Return the positions of the files of a round, of ``count`` files."""
    return [(number * FILES + index) % count for index in range(min(FILES, count))]


def with_limited_warmup(options: BenchmarkOptions, pipelines: int) -> BenchmarkOptions:
    """Return the options of pipelines whose warm-ups share ``WARMUP_SHARE`` of a process's time.

    Args:
        options: those of the measurement.
        pipelines: number of pipelines that are timed.
    """
    share = WARMUP_SHARE * options.max_seconds / options.processes / max(1, pipelines)
    return replace(options, warmup_seconds=min(options.warmup_seconds, share))


def warmed_up(worker: WorkerProcess, files: list[int], options: BenchmarkOptions) -> bool:
    """Classify held files in a new process until the speed is steady or the time is up.

    Returns:
        False if calls still become faster.
    """
    warmed = worker.ask(
        protocol.WarmUp(tolerance=WARM, max_seconds=options.warmup_seconds, files=files)
    )
    worker.rest()
    return warmed.warm


def timed_turn(
    worker: WorkerProcess,
    process: int,
    decoder: Decoder,
    files: list[int],
    options: BenchmarkOptions,
) -> tuple[PipelineTurn, bool]:
    """Time one turn in a process that holds the files.

    Returns:
        The turn, and True if the worker used no CPU after it.
    """
    before, cpu_before = Observation.now(), time.process_time()
    timed = worker.ask(
        protocol.TimePipeline(
            decoder=decoder,
            files=files,
            samples=options.samples,
            max_seconds=options.turn_seconds,
        )
    )
    after, parent_seconds = Observation.now(), time.process_time() - cpu_before
    is_idle = worker.rest()
    own_seconds = parent_seconds + timed.request_cpu_seconds
    turn = PipelineTurn(
        seconds=timed.timing.seconds,
        stages=timed.stages,
        elapsed_seconds=timed.timing.elapsed_seconds,
        cpu_seconds=timed.timing.cpu_seconds,
        disturbance=(
            before.until(after, own_seconds, options.effective_threads)
            if before and after
            else None
        ),
        process=process,
        files=files,
    )
    return turn, is_idle
