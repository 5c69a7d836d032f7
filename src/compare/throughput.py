"""Throughput of a file within one measurement, without the drift that all rows share.

A machine has slow phases of seconds and of hours. Rows are timed in turns, so a slow phase of
seconds affects all turns of some rounds. This common drift is estimated by the median over the
rows, and removed. A slow phase of the whole measurement remains; a comparison of two measurements
must allow for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median

import msgspec
import numpy as np

from src.benchmark.statistics.latency import rounds_of, speedup
from src.run.latency import Cell, Disturbance, Interval, Turn

Cells = Mapping[str, Cell]  # by format, at one batch size

# With this disturbance, the speed-up is computed from means; with the next one, from medians.
_INTERRUPTED = Disturbance(seconds=1.0, steal_share=0.0, other_cores=1.0, frequency_hz=None)
_UNDISTURBED = msgspec.structs.replace(_INTERRUPTED, other_cores=0.0)


def is_interrupted(cell: Cell) -> bool:
    """Return True if others used the cores so much that calls of the cell had to wait."""
    return cell.disturbance is not None and cell.disturbance.interrupts()


def rates(cells: Cells, *, means: bool) -> dict[str, Interval]:
    """Return each row's calls per second without the common drift, with 95 % intervals.

    Args:
        cells: cells of one measurement, device and batch size, by format.
        means: summarise the calls of a turn by their mean instead of their median, as
            :func:`src.benchmark.statistics.latency.speedup` does if a row was interrupted. It must
            be the same for both measurements of a comparison.

    Returns:
        The rows with at least two rounds. For rounds of one process the interval is an assumption.
    """
    disturbance = _INTERRUPTED if means else _UNDISTURBED
    middle = np.mean if means else np.median
    turns = {
        name: {
            number: msgspec.structs.replace(turn, disturbance=disturbance)
            for number, turn in rounds_of(cell).items()
        }
        for name, cell in cells.items()
    }
    logs = {
        name: {number: math.log(middle(turn.seconds)) for number, turn in rounds.items()}
        for name, rounds in turns.items()
    }
    usual = {name: median(values.values()) for name, values in logs.items()}
    numbers = sorted({number for values in logs.values() for number in values})
    drift = {
        number: median(
            values[number] - usual[name] for name, values in logs.items() if number in values
        )
        for number in numbers
    }
    # The common drift belongs to no process. Each of its rounds gets a separate process number, so
    # that only the processes of the row group the rounds.
    common = {
        number: Turn(
            seconds=[math.exp(value)], elapsed_seconds=1.0, cpu_seconds=0.0, process=number
        )
        for number, value in drift.items()
    }
    gains = {name: speedup(common, rounds) for name, rounds in turns.items()}
    return {name: rate for name, rate in gains.items() if rate is not None}
