"""Measurement of the model on this machine, by the rules of Lightship's report.

It needs numpy, and the runtime in the processes that it starts (``session.py``). These rules are
taken over from the report (``src/worker``, ``src/benchmark``, ``docs/measuring.md``):

- Clean processes: each session starts two new ones, which import the runtime and nothing else of
  the kind. Nothing is timed while a process starts.
- The same file twice: the two take turns (A B, B A, ...), so the ratio of their times has to be 1,
  within its interval. Both together are the samples of the model.
- A warm-up until the speed has no direction any more, for 2 s at most.
- Turns of 0.03 s and 100 calls at most, up to 40 rounds in each process and three at least; then
  four rounds from the bytes of image files to labels, with four files each.
- An interval is over processes (``latencies.py``). A percentile with too few samples is missing.
- Memory in a process of its own.
- Not taken over: sizes of a batch above 1, stopping at a target precision, and energy.
"""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import subprocess
import sys
import tempfile
import threading
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
else:  # in the folder of a model
    import latencies
    from exam_files import ExamError
    from latencies import Interval, Turn
    from machine import Observation

Array = np.ndarray[Any, np.dtype[Any]]
Json = dict[str, Any]

PROCESSES = 5  # sessions, each with two processes of the same file
ROUNDS, LEAST_ROUNDS = 40, 3
SAMPLES = 100  # calls of a turn, at most
TURN_SECONDS = 0.03
PIPELINE_ROUNDS = 4
FILES = 4  # of a turn, each taken equally often
WARM, WARMUP_SECONDS = 0.02, 2.0
ANSWER_SECONDS = 300.0  # limit of one answer


class Process:
    """A new process that has the model to itself.

    Args:
        folder: of the model and of ``session.py``.
    """

    def __init__(self, folder: Path) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self._process = subprocess.Popen(
            [sys.executable, "-B", folder / "session.py"],  # -B leaves the folder as it is
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.warm = True

    def ask(self, name: str, **request: Any) -> Json:
        """Return the answer to one request.

        Raises:
            ExamError: it failed, the process died, or it took too long.
        """
        self.begin(name, **request)
        return self.end(name)

    def begin(self, name: str, **request: Any) -> None:
        """Send a request without waiting for its answer."""
        if self._process.stdin is None:
            raise ExamError("the process has no input")
        with contextlib.suppress(BrokenPipeError):  # it has died, which end() tells
            self._process.stdin.write(json.dumps({"do": name, **request}) + "\n")
            self._process.stdin.flush()

    def end(self, name: str) -> Json:
        """Return the answer to the request that :meth:`begin` sent."""
        try:
            line = self._lines.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            raise ExamError(f"no answer to {name} within {ANSWER_SECONDS:g} s") from None
        if not line:
            raise ExamError(f"the process that ran the model ended: {self._last_words()}")
        answer: Json = json.loads(line)
        if "error" in answer:
            raise ExamError(f"{name}: {answer['error']}")
        return answer

    def close(self) -> None:
        """Kill the process and free its resources."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                with contextlib.suppress(OSError):  # a pipe without a reader
                    stream.close()

    def _read(self) -> None:
        if self._process.stdout is not None:
            with contextlib.suppress(ValueError):  # closed while it was read
                for line in self._process.stdout:
                    self._lines.put(line)
        self._lines.put("")

    def _last_words(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        words = " ".join(self._log.read().decode(errors="replace").split())[-300:]
        return f"exit code {code}{f': {words}' if words else ''}"


class Started(NamedTuple):
    """A process that has loaded the model, with the figures of its start."""

    process: Process
    loaded: Json


@dataclass
class Measurement:
    """The raw samples of all sessions."""

    rounds: dict[str, dict[int, Turn]] = field(default_factory=lambda: {"A": {}, "B": {}})
    pipelines: dict[int, Turn] = field(default_factory=dict)
    loaded: list[Json] = field(default_factory=list)  # by process
    warm: bool = True
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
        settings: of the model, by argument.
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
        self.measurement = Measurement()
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
        self._report("answering the exam")
        with self.started() as (first,):
            answer = first.process.ask("answers")
            logits = np.frombuffer(base64.b64decode(answer["logits"]), "<f4")
            return logits.reshape(answer["shape"]), first.loaded["class_names"]

    def run(self) -> Measurement:
        """Time sessions until the time is up, and measure the memory."""
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
                self._session(pair, number, self._clock() + share)
            last = self._clock() - began
        return self.measurement

    def _session(self, pair: Sequence[Started], number: int, deadline: float) -> None:
        measured = self.measurement
        named = dict(zip(measured.rounds, pair, strict=True))
        for one in pair:
            measured.loaded.append(one.loaded)
            most = min(WARMUP_SECONDS, max(0.0, deadline - self._clock()) / 4)
            answer = one.process.ask("warm_up", tolerance=WARM, max_seconds=most)
            measured.warm &= answer["warm"]
            measured.settled &= answer["settled"]
        for done in range(ROUNDS):
            if done >= LEAST_ROUNDS and self._clock() > deadline:
                break
            for name in rotated(list(named), self._round):
                turn = self._turn(named[name].process, "time", number, TURN_SECONDS)
                measured.rounds[name][self._round] = turn
            self._round += 1
        if self._files and measured.pipeline_reason is None:
            try:
                self._pipelines(pair, number)
            except ExamError as error:  # the other figures are not affected
                measured.pipeline_reason = str(error)
                measured.pipelines.clear()

    def _pipelines(self, pair: Sequence[Started], number: int) -> None:
        for _ in range(PIPELINE_ROUNDS):
            chosen = [
                (self._pipeline_round * FILES + index) % self._files
                for index in range(min(FILES, self._files))
            ]
            for offset, one in enumerate(pair):
                turn = self._turn(one.process, "pipeline", number, TURN_SECONDS, files=chosen)
                place = 2 * self._pipeline_round + offset
                self.measurement.pipelines[place] = turn._replace(process=2 * number + offset)
            self._pipeline_round += 1

    def _turn(
        self, process: Process, kind: str, number: int, seconds: float, **request: Any
    ) -> Turn:
        before, cpu_before = Observation.now(), time.process_time()
        timed = process.ask(kind, samples=SAMPLES, max_seconds=seconds, **request)
        after, own = Observation.now(), time.process_time() - cpu_before
        self.measurement.settled &= timed["settled"]
        own += timed["request_cpu_seconds"]
        threads = self._settings.get("threads")  # None leaves them to the runtime
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
