"""Files timed in turn, each in processes of its own, for scripts that compare a few of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from src.benchmark import turn
from src.benchmark.options import BenchmarkOptions
from src.benchmark.schedule import precision_is_checked, rotated
from src.benchmark.statistics.latency import Rounds, speedup
from src.run.file_input import BatchMaker
from src.run.folder import Run
from src.run.latency import Interval, Turn
from src.shipped.model_process import Process
from src.system import environments
from src.worker import protocol
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess

WITHIN = 0.02  # of 1: the half width that the audit of the benchmark demands
WIDEST = 0.05  # half width of an interval that says something
HOLDS, DIFFERS, UNCLEAR = "holds", "DIFFERS", "too few rounds to tell"


@dataclass
class Timed:
    """The turns of one file in one place, by round."""

    rounds: dict[int, Turn] = field(default_factory=dict)
    warm: bool = True  # in every process


class Clock(Protocol):
    """A process that has loaded a file and times calls of it."""

    def warm_up(self, images: NDArray[np.float32], options: BenchmarkOptions) -> bool:
        """Call the file until its speed is steady; return False if it did not become so."""

    def time_turn(self, options: BenchmarkOptions, process: int) -> Turn:
        """Time one turn, and note the number of the process in it."""

    def close(self) -> None:
        """End the process."""


@dataclass(frozen=True)
class WorkerClock:
    """The clock of the measurement."""

    worker: WorkerProcess

    def warm_up(self, images: NDArray[np.float32], options: BenchmarkOptions) -> bool:
        return turn.warm_up(self.worker, images, options)

    def time_turn(self, options: BenchmarkOptions, process: int) -> Turn:
        return turn.time_batch(self.worker, options, process)[0]

    def close(self) -> None:
        self.worker.close()


class ExamClock:
    """The clock of a bundle's exam, which times its own image.

    Args:
        bundle: folder of the unpacked bundle.
        python: interpreter that runs the exam.
        threads: of the runtime.

    Raises:
        ExamError: the file cannot be loaded.
    """

    def __init__(self, bundle: Path, python: str, threads: int) -> None:
        self._process = Process(bundle, python, environments.without_python())
        try:
            self._process.ask("load", settings={"threads": threads})
        except BaseException:  # Ctrl-C too: nobody else knows the process yet
            self._process.close()
            raise

    def warm_up(self, images: NDArray[np.float32], options: BenchmarkOptions) -> bool:
        del images
        seconds = options.warmup_seconds
        warmed = self._process.ask("warm_up", tolerance=turn.WARM, max_seconds=seconds)
        return bool(warmed["warm"])

    def time_turn(self, options: BenchmarkOptions, process: int) -> Turn:
        timed = self._process.ask("time", samples=options.samples, max_seconds=options.turn_seconds)
        return Turn(
            seconds=timed["seconds"],
            elapsed_seconds=timed["elapsed_seconds"],
            cpu_seconds=timed["cpu_seconds"],
            process=process,
        )

    def close(self) -> None:
        self._process.close()


AnyClock = TypeVar("AnyClock", bound=Clock)


def opened(
    run: Run, name: str, device: str, limits: Limits
) -> tuple[WorkerProcess, protocol.Loaded]:
    """Load an exported file in a new process, which the caller closes.

    Args:
        run: an exported run.
        name: of the format.
        device: where the file runs.
        limits: of the process.

    Raises:
        Unavailable: the file cannot run on that device here.
        WorkerError: it could not be loaded.
    """
    manifest = run.read_manifest()
    maker = BatchMaker(manifest.formats[name].takes, manifest.preprocessing)
    worker = WorkerProcess(name, run.own("exports", name), device, limits, maker)
    try:
        loaded = worker.ask(protocol.Load(classes=len(manifest.class_names)))
    except BaseException:  # Ctrl-C too: nobody else knows the process yet
        worker.close()
        raise
    return worker, loaded


def time_in_turn(
    openers: Sequence[Callable[[], AnyClock]],
    images: NDArray[np.float32],
    options: BenchmarkOptions,
    look: Callable[[int, Sequence[AnyClock]], None] = lambda *_: None,
    is_precise: Callable[[Sequence[Timed]], bool] = lambda _: False,
) -> list[Timed]:
    """Time files on a batch, in rounds whose order rotates.

    Every file is loaded anew up to ``options.processes`` times, in an order that rotates as well,
    and each time it has ``options.rounds`` rounds.

    Args:
        openers: each starts a process that has loaded a file.
        images: the batch, (N, 3, H, W).
        options: processes, rounds, and the length of a turn and of the warm-up.
        look: gets the number of each set of processes, and the clocks, before they are timed.
        is_precise: tells that the turns so far are enough. It is asked as seldom as in a
            measurement: :mod:`src.benchmark.schedule` gives the reason.

    Returns:
        The turns of each file, in the order of ``openers``.

    Raises:
        WorkerError: a file could not be loaded, or a call failed.
    """
    files = [Timed() for _ in openers]
    number = 0
    for process in range(options.processes):
        if precision_is_checked(process) and is_precise(files):
            break
        with contextlib.ExitStack() as stack:
            order = rotated(range(len(openers)), process)
            started = {
                place: stack.enter_context(contextlib.closing(openers[place]())) for place in order
            }
            clocks = [started[place] for place in range(len(openers))]
            look(process, clocks)
            for place in order:
                files[place].warm &= clocks[place].warm_up(images, options)
            places = list(zip(files, clocks, strict=True))
            for _ in range(options.rounds):
                for file, clock in rotated(places, number):
                    file.rounds[number] = clock.time_turn(options, process)
                number += 1
    return files


def ratio_is_precise(files: Sequence[Timed]) -> bool:
    """Return True if the ratio of the times of two files is known well enough for a verdict."""
    one, other = files
    ratio = speedup(one.rounds, other.rounds)
    return ratio is not None and ratio.half_width <= WIDEST


def verdict_of(ratio: Interval | None) -> str:
    """Return the verdict on two times that should be equal, from the interval of their ratio."""
    if ratio is None or ratio.half_width > WIDEST:
        return UNCLEAR
    is_same = ratio.low <= 1 <= ratio.high or abs(ratio.value - 1) <= WITHIN
    return HOLDS if is_same else DIFFERS


def processes_of(rounds: Rounds) -> int:
    """Return the number of processes that the rounds are of."""
    return len({each.process for each in rounds.values()})
