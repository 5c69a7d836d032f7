"""Measurement of the model on this machine, by the rules of Lightship's report.

It needs numpy, and the runtime in the processes that it starts (``session.py``). These rules are
taken over from the report (``src/worker``, ``src/benchmark``, ``docs/measuring.md``):

- Clean processes: each session starts two new ones, which import the runtime and nothing else of
  the kind. Nothing is timed while a process starts.
- The same file twice: the two take turns (A B, B A, ...), so the ratio of their times has to be 1,
  within its interval. Both together are the samples of the model.
- A warm-up until the speed has no direction any more, for 2 s at most.
- Turns of 0.03 s and 100 calls at most, up to 40 rounds in each process and three at least; then
  four rounds from the bytes of image files to labels, with four files each, after a warm-up of
  their own. Every file counts once, however often it was timed.
- An interval is over processes (``latencies.py``). A percentile with too few samples is missing.
- Memory in a process of its own.
- Not taken over: sizes of a batch above 1, stopping at a target precision, and energy.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING or __package__:  # a part of a package
    from . import latencies
    from .exam_files import ExamError
    from .latencies import Interval, Turn
    from .machine import Observation
    from .model_process import Process, all_logits
else:  # in the folder of a model
    import latencies
    from exam_files import ExamError
    from latencies import Interval, Turn
    from machine import Observation
    from model_process import Process, all_logits

Array = np.ndarray[Any, np.dtype[Any]]
Json = dict[str, Any]

PROCESSES = 5  # sessions, each with two processes of the same file
ROUNDS, LEAST_ROUNDS = 40, 3
SAMPLES = 100  # calls of a turn, at most
TURN_SECONDS = 0.03
PIPELINE_ROUNDS = 4
FILES = 4  # of a turn, each taken equally often
WARM, WARMUP_SECONDS = 0.02, 2.0
# Limit of the warm-up of a process, as a share of the time of its session.
WARMUP_SHARE, PIPELINE_WARMUP_SHARE = 0.25, 0.1


class Started(NamedTuple):
    """A process that has loaded the model, with the figures of its start."""

    process: Process
    loaded: Json


@dataclass
class Measurement:
    """The raw samples of all sessions.

    Args:
        threads: of a call, as the runtime was told. The threads of a process would tell another
            number: not every system counts them, and a runtime may start a second pool.
    """

    threads: int
    rounds: dict[str, dict[int, Turn]] = field(default_factory=lambda: {"A": {}, "B": {}})
    pipelines: dict[int, Turn] = field(default_factory=dict)
    loaded: list[Json] = field(default_factory=list)  # by process
    warm: bool = True
    pipeline_warm: bool = True
    settled: bool = True  # used no CPU between the turns
    peak_rss_bytes: int | None = None
    pipeline_reason: str | None = None  # why it could not be timed

    @property
    def merged(self) -> dict[int, Turn]:
        """The rounds of both, each with a process of its own."""
        return {
            2 * number + offset: turn._replace(process=2 * turn.process + offset)
            for offset, name in enumerate(self.rounds)
            for number, turn in self.rounds[name].items()
        }

    @property
    def same_file_twice(self) -> Interval | None:
        """The ratio of the times of the two; the truth is 1."""
        return latencies.speedup(self.rounds["A"], self.rounds["B"])


class Sessions:
    """The timing of the model in new processes, until the time is up.

    Args:
        folder: of the model.
        files: number of image files; 0 to time no pipelines.
        seconds: limit from now on. One session always runs; a next one if its time is left.
        settings: of the model, by argument, the number of threads among them.
        report: gets a line on the progress.
        clock: seconds; replaced in tests.
    """

    def __init__(
        self,
        folder: Path,
        files: int,
        seconds: float,
        settings: Json,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._files = files
        self._settings = settings
        self._report = report
        self._clock = clock
        self._started = clock()
        self._end = self._started + seconds
        self._round = self._pipeline_round = 0
        self._answered: list[Json] = []  # the start of the process that answered
        self.measurement = Measurement(settings["threads"])
        if not files:
            self.measurement.pipeline_reason = "the exam has arrays and no image files"

    @contextlib.contextmanager
    def started(self, count: int = 1) -> Iterator[list[Started]]:
        """Yield new processes that import at the same time and load one after the other."""
        processes = [Process(self._folder) for _ in range(count)]
        try:
            yield [
                Started(process, process.ask("load", settings=self._settings))
                for process in processes
            ]
        finally:
            for process in processes:
                process.close()

    def answers(self) -> tuple[Array, list[str]]:
        """Return the logits (n, K) of the exam in a new process, and the classes of the model."""
        with self.started() as (first,):
            self._answered = [first.loaded]
            return all_logits(first.process, self._report), first.loaded["class_names"]

    def untimed(self) -> Measurement:
        """Return a measurement without times, of the process that answered."""
        return Measurement(self.measurement.threads, loaded=self._answered)

    def run(self) -> Measurement:
        """Time sessions until the time is up, and measure the memory.

        Raises:
            ExamError: a process fails.
        """
        with self.started() as (first,):
            self._report("measuring memory")
            self.measurement.peak_rss_bytes = first.process.ask("peak")["bytes"]
        last = 0.0  # seconds
        for number in range(PROCESSES):
            began = self._clock()
            if number and began + last > self._end:
                break
            self._report(f"timing, processes {number + 1} of {PROCESSES}")
            with self.started(2) as pair:
                share = (self._end - self._clock()) / (PROCESSES - number)
                self._session(pair, number, share)
            last = self._clock() - began
        return self.measurement

    def _session(self, pair: Sequence[Started], number: int, seconds: float) -> None:
        measured, deadline = self.measurement, self._clock() + seconds
        # A process that was loaded before the other may be slower for its whole life.
        named = dict(zip(measured.rounds, pair if number % 2 == 0 else pair[::-1], strict=True))
        for one in pair:
            measured.loaded.append(one.loaded)
            measured.warm &= self._warm(one.process, "warm_up", WARMUP_SHARE * seconds)
        for done in range(ROUNDS):
            if done >= LEAST_ROUNDS and self._clock() > deadline:
                break
            for name in rotated(list(named), self._round):
                turn = self._turn(named[name].process, "time", number, TURN_SECONDS)
                measured.rounds[name][self._round] = turn
            self._round += 1
        if self._files and measured.pipeline_reason is None:
            try:
                self._pipelines(pair, number, PIPELINE_WARMUP_SHARE * seconds)
            except ExamError as error:  # the other figures are not affected
                measured.pipeline_reason = str(error)
                measured.pipelines.clear()

    def _pipelines(self, pair: Sequence[Started], number: int, warmup_seconds: float) -> None:
        for done in range(PIPELINE_ROUNDS):
            chosen = [
                (self._pipeline_round * FILES + index) % self._files
                for index in range(min(FILES, self._files))
            ]
            for one in pair if done == 0 else ():
                warm = self._warm(one.process, "warm_up_files", warmup_seconds, files=chosen)
                self.measurement.pipeline_warm &= warm
            for offset, one in enumerate(pair):
                turn = self._turn(one.process, "pipeline", number, TURN_SECONDS, files=chosen)
                place = 2 * self._pipeline_round + offset
                self.measurement.pipelines[place] = turn._replace(
                    process=2 * number + offset, files=chosen
                )
            self._pipeline_round += 1

    def _warm(self, process: Process, kind: str, seconds: float, **request: Any) -> bool:
        most = min(WARMUP_SECONDS, max(0.0, seconds))  # a session of no time left has none
        answer = process.ask(kind, tolerance=WARM, max_seconds=most, **request)
        self.measurement.settled &= answer["settled"]
        return bool(answer["warm"])

    def _turn(
        self, process: Process, kind: str, number: int, seconds: float, **request: Any
    ) -> Turn:
        before, cpu_before = Observation.now(), time.process_time()
        timed = process.ask(kind, samples=SAMPLES, max_seconds=seconds, **request)
        after, own = Observation.now(), time.process_time() - cpu_before
        self.measurement.settled &= timed["settled"]
        own += timed["request_cpu_seconds"]
        threads = self.measurement.threads
        return Turn(
            seconds=timed["seconds"],
            elapsed_seconds=timed["elapsed_seconds"],
            cpu_seconds=timed["cpu_seconds"],
            process=number,
            disturbance=before.until(after, own, threads) if before and after else None,
            stages=timed.get("stages"),
        )


def rotated(names: Sequence[str], number: int) -> list[str]:
    """Return names in the order of one round: A B, B A, B A, A B, ..."""
    start = (number // 2) % len(names)
    order = [*names[start:], *names[:start]]
    return order if number % 2 == 0 else order[::-1]
