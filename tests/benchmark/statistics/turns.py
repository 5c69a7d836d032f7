"""Turns with given samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from src.run.latency import Disturbance, Turn

QUIET = Disturbance(seconds=1.0, steal_share=0.0, other_cores=0.0, frequency_hz=None)
BUSY = Disturbance(seconds=1.0, steal_share=0.0, other_cores=0.9, frequency_hz=None)


def turns(
    samples: Sequence[Sequence[float]],
    first: int = 0,
    disturbance: Disturbance | None = None,
    rounds_a_process: int = 2,
) -> dict[int, Turn]:
    return {
        number: Turn(
            seconds=[float(value) for value in seconds_of_calls],
            elapsed_seconds=float(sum(seconds_of_calls)),
            cpu_seconds=2 * float(sum(seconds_of_calls)),
            disturbance=disturbance,
            process=number // rounds_a_process,
        )
        for number, seconds_of_calls in enumerate(samples, start=first)
    }


def turn_of(seconds: list[float], process: int = 0, **figures: Any) -> Turn:
    total = sum(seconds)
    return Turn(
        seconds=seconds, elapsed_seconds=total, cpu_seconds=total, process=process, **figures
    )
