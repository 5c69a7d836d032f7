"""Peak memory of a file at one batch size, measured in a new process.

A process that has scored its batches or timed every batch size has the peak of the largest batch.
So each batch size has a process that has loaded the file and called it with batches of that size
only. On a CPU these are the processes that time the row afterwards, one size each; this is the same
for every row. A row with too few processes, and one on another device, gets processes of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Unavailable
from src.run.latency import Memory
from src.system import machine
from src.system.console import Report
from src.worker import protocol
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess

if TYPE_CHECKING:
    from src.benchmark.row import Row

Images = NDArray[np.float32]

# Processes on the CPU. Each imports its runtime on one core, for seconds, and holds a network.
MOST_AT_ONCE = 4


def plan(rows: Sequence[Row], batches: Sequence[Images]) -> None:
    """Have the rows on the CPU measure their peaks in their further processes.

    Args:
        rows: on any device.
        batches: (N, 3, H, W) each, of different N.
    """
    for row in rows:
        if row.device == "cpu":
            row.memory.plan(batches)


def measure(
    rows: Sequence[Row], batches: Sequence[Images], exports: Path, limits: Limits, report: Report
) -> None:
    """Measure the peaks that the rows that are ok still lack, and store them by batch size.

    If a peak cannot be measured, its record holds the reason. The row keeps its status ok.

    Args:
        rows: on any device. Rows on a GPU are measured one by one, because the driver reports the
            memory of all processes together.
        batches: (N, 3, H, W) each, of different N.
        exports: the folder that holds the formats' folders.
        limits: of each process.
        report: gets the progress.
    """
    pairs = [
        (row, images)
        for row in rows
        if row.ok
        for images in batches
        if len(images) not in row.memory.peaks
    ]
    pairs.sort(key=lambda pair: pair[0].device != "cpu")
    limits = dataclasses.replace(limits, exclusive=True)
    done = 0
    while done < len(pairs):
        at_once = min(machine.usable_cores(), MOST_AT_ONCE)
        group = pairs[done : done + at_once]
        if any(row.device != "cpu" for row, _ in group):
            group = group[:1]
        names = ", ".join(f"{row.name} batch {len(images)}" for row, images in group)
        report("measuring memory", names, done, len(pairs))
        with ThreadPoolExecutor(len(group)) as pool:
            peaks = pool.map(lambda pair: _peak(pair[0], pair[1], exports, limits), group)
            for (row, images), peak in zip(group, peaks, strict=True):
                row.memory.peaks[len(images)] = peak
        done += len(group)


def _peak(row: Row, images: Images, exports: Path, limits: Limits) -> Memory:
    """Return the peaks of one file, measured in a new process."""
    try:
        worker = WorkerProcess(
            row.name, exports / row.name, row.device, limits, row.batch_maker, python=row.python
        )
    except Unavailable as error:
        return Memory(memory_reason=str(error))
    try:
        worker.ask(protocol.Load(classes=row.classes))
        peak = worker.ask(protocol.PeakMemory(), images)
    except (WorkerError, Unavailable) as error:
        return Memory(memory_reason=str(error))
    else:
        return Memory(
            peak_rss_bytes=peak.peak_rss_bytes, peak_device_bytes=worker.peak_device_bytes
        )
    finally:
        worker.close()
