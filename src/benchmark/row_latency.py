"""The timed turns of a row, by batch size."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from src.benchmark import turn
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row_processes import RowProcesses
from src.benchmark.statistics.latency import speedup, summarize
from src.run.latency import Cell, Interval, Memory, RuntimeSpeedup, Turn
from src.run.rounds import named, numbered


class RawLatency(NamedTuple):
    """The turns as they are stored in ``rounds.json``."""

    rounds: dict[str, dict[str, Turn]]
    warm: dict[str, bool]
    joules: dict[str, float | None]


class RowLatency:
    """Turns, warm-ups and energy of one row.

    Args:
        on_gpu: measure the energy as well.
    """

    def __init__(self, *, on_gpu: bool) -> None:
        self._on_gpu = on_gpu
        self.rounds: dict[int, dict[int, Turn]] = {}  # by batch size, then by round
        self._warm: dict[int, bool] = {}  # by batch size: every process reached a steady speed
        self._joules: dict[int, float | None] = {}  # by batch size: per image
        self._held: tuple[int, int] | None = None  # (process, batch size) that is ready to time
        self.settled = True  # used no CPU between its turns

    def time(
        self,
        processes: RowProcesses,
        images: NDArray[np.float32],
        number: int,
        options: BenchmarkOptions,
    ) -> None:
        """Time a batch for one turn.

        The first turn of a process at a batch size also sends the batch and warms up.

        Args:
            processes: the present one is timed.
            images: (N, 3, H, W).
            number: number of the round.
            options: length of a turn and of the warm-up.

        Raises:
            WorkerError: a call fails.
        """
        size, worker, process = len(images), processes.current, processes.number
        if self._held != (process, size):
            warm = turn.warm_up(worker, images, options)
            self._warm[size] = self._warm.get(size, True) and warm
            if self._on_gpu and size not in self._joules:
                self._joules[size] = turn.joules_per_image(worker, size)
            self._held = process, size
        timed, settled = turn.time_batch(worker, options, process)
        self.rounds.setdefault(size, {})[number] = timed
        self.settled &= settled

    def over(self, baseline: RowLatency, size: int) -> Interval | None:
        """Return how many times faster this is than a baseline; None with too few rounds."""
        return speedup(baseline.rounds.get(size, {}), self.rounds.get(size, {}))

    def over_format(self, name: str, latency: RowLatency, size: int) -> RuntimeSpeedup | None:
        """Return the speed-up over another format of the same runtime, with its name."""
        gain = self.over(latency, size)
        if gain is None:
            return None
        return RuntimeSpeedup(format=name, **msgspec.structs.asdict(gain))

    def cell(
        self,
        size: int,
        gain: Interval | None,
        same_runtime: RuntimeSpeedup | None,
        memory: Memory | None,
    ) -> Cell:
        """Return the figures at one batch size.

        Args:
            size: the batch size.
            gain: speed-up over the row's baseline.
            same_runtime: speed-up over the fp32 file of the same runtime.
            memory: peak memory at this batch size.
        """
        return summarize(
            size,
            self.rounds[size],
            warm=self._warm[size],
            joules_per_image=self._joules[size] if self._on_gpu else None,
            speedup=gain,
            speedup_same_runtime=same_runtime,
            peak_memory=memory,
        )

    def raw(self) -> RawLatency:
        """Return what :meth:`restore` takes."""
        rounds = named({size: named(rounds) for size, rounds in self.rounds.items()})
        return RawLatency(rounds, named(self._warm), named(self._joules))

    def restore(self, raw: RawLatency) -> None:
        """Restore what :meth:`raw` returned."""
        self.rounds = {int(size): numbered(rounds) for size, rounds in raw.rounds.items()}
        self._warm = numbered(raw.warm)
        self._joules = numbered(raw.joules)
