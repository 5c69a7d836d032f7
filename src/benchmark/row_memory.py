"""Peak memory of one row on the CPU, measured in the processes that later time it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Unavailable
from src.benchmark.row_processes import RowProcesses
from src.run.latency import Memory
from src.worker import protocol
from src.worker.errors import WorkerError

Images = NDArray[np.float32]


class RowMemory:
    """Peaks of a row by batch size, and the batches whose peaks are still to be measured.

    A new process has loaded the file and called nothing, so its peak is that of the first batch
    that it is called with. Each process of a row measures one batch size before anything else.

    Attributes:
        peaks: by batch size.
    """

    def __init__(self) -> None:
        self.peaks: dict[int, Memory] = {}
        self._planned: list[Images] = []

    def plan(self, batches: Sequence[Images]) -> None:
        """Measure these batches (N, 3, H, W), each of another N, one in each further process."""
        self._planned = list(batches)

    def measure_next(self, processes: RowProcesses) -> None:
        """Measure the next planned batch in a process that has only loaded the file.

        If its peak cannot be measured, its record holds the reason, and the row gets another
        process, as this one may have been killed.

        Raises:
            Unavailable: the format cannot run here.
            WorkerError: the other process fails.
        """
        if not self._planned:
            return
        images = self._planned.pop(0)
        try:
            peak = processes.current.ask(protocol.PeakMemory(), images)
        except (WorkerError, Unavailable) as error:
            self.peaks[len(images)] = Memory(memory_reason=str(error))
            processes.begin()
            processes.load()
        else:
            self.peaks[len(images)] = Memory(peak_rss_bytes=peak.peak_rss_bytes)
