"""Throughput of a file within one measurement, without what slowed all of its rows alike.

A machine has slow phases, of seconds and of hours. Rows are timed in turns, so a slow phase of
seconds is in all turns of its rounds: it shows as a drift that the rows have in common, is
estimated by their median and taken out. What slowed the measurement as a whole stays, and is the
business of whoever compares two of them.
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

# By which the statistics of a speed-up take means for medians.
_INTERRUPTED = Disturbance(seconds=1.0, steal_share=0.0, other_cores=1.0, frequency_hz=None)
_UNDISTURBED = msgspec.structs.replace(_INTERRUPTED, other_cores=0.0)


def is_interrupted(cell: Cell) -> bool:
    """Return True if others took the cores from the calls of a cell."""
    return cell.disturbance is not None and cell.disturbance.interrupts()


def rates(cells: Cells, *, means: bool) -> dict[str, Interval]:
    """Return each row's calls a second at the measurement's usual speed, with 95 % intervals.

    Args:
        cells: of one measurement, device and batch size.
        means: of the calls of a turn and not their medians, as
            :func:`src.benchmark.statistics.latency.speedup` takes where a row was interrupted. Both
            measurements of a comparison must take the same.

    Returns:
        The rows of which there are two rounds; of rounds in one process the interval is assumed.
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
    # The common drift has no process: each round stands alone, and only the rows' processes group
    # them.
    common = {
        number: Turn(
            seconds=[math.exp(value)], elapsed_seconds=1.0, cpu_seconds=0.0, process=number
        )
        for number, value in drift.items()
    }
    gains = {name: speedup(common, rounds) for name, rounds in turns.items()}
    return {name: rate for name, rate in gains.items() if rate is not None}
