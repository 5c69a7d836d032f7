"""Files timed in turn, each in processes of its own, for scripts that compare a few of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from src.benchmark import turn
from src.benchmark.options import BenchmarkOptions
from src.benchmark.schedule import rotated
from src.run.file_input import BatchMaker
from src.run.folder import Run
from src.run.latency import Turn
from src.worker import protocol
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess


@dataclass
class Timed:
    """The turns of one file in one place, by round."""

    rounds: dict[int, Turn] = field(default_factory=dict)
    warm: bool = True  # in every process


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
    openers: Sequence[Callable[[], WorkerProcess]],
    images: NDArray[np.float32],
    options: BenchmarkOptions,
    look: Callable[[int, Sequence[WorkerProcess]], None],
) -> list[Timed]:
    """Time files on a batch, in rounds whose order rotates.

    Every file is loaded anew ``options.processes`` times, and each time it has ``options.rounds``
    rounds.

    Args:
        openers: each starts a process that has loaded a file.
        images: the batch, (N, 3, H, W).
        options: processes, rounds, and the length of a turn and of the warm-up.
        look: gets the number of each set of processes, and the processes, before they are timed.

    Returns:
        The turns of each file, in the order of ``openers``.

    Raises:
        WorkerError: a file could not be loaded, or a call failed.
    """
    files = [Timed() for _ in openers]
    number = 0
    for process in range(options.processes):
        with contextlib.ExitStack() as stack:
            workers = [stack.enter_context(contextlib.closing(start())) for start in openers]
            look(process, workers)
            places = list(zip(files, workers, strict=True))
            for file, worker in places:
                file.warm &= turn.warm_up(worker, images, options)
            for _ in range(options.rounds):
                for file, worker in rotated(places, number):
                    file.rounds[number], _ = turn.time_batch(worker, options, process)
                number += 1
    return files
