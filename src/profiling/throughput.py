"""How fast a training goes: images a second, seconds a step, the share that waits for data."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Some steps in a row, on average."""

    step_seconds: float
    data_seconds: float  # of a step, spent on getting its batch
    images_per_second: float

    @property
    def data_share(self) -> float:
        """The share of a step that waits for its batch."""
        return self.data_seconds / self.step_seconds


class PaceMeter:
    """Adds up steps until it is asked; two readings of the clock a step.

    On a GPU a single step ends when its kernels are queued; the queue is bounded, so that the
    average over some steps is that of the device.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._ended: float | None = None  # the last step, without a break since
        self._data = 0.0
        self._wait = 0.0
        self._seconds = 0.0
        self._steps = 0
        self._images = 0

    def pause(self) -> None:
        """Something other than training comes now: an epoch's end, a validation."""
        self._ended = None

    def step_starts(self) -> None:
        """Its batch is here."""
        if self._ended is not None:
            self._wait = self._clock() - self._ended

    def step_ends(self, images: int, *, counts: bool = True) -> None:
        """One step is done.

        Args:
            images: in its batch.
            counts: whether it is one like others; not one that was profiled.
        """
        now = self._clock()
        if self._ended is not None and counts:
            self._seconds += now - self._ended
            self._data += self._wait
            self._images += images
            self._steps += 1
        # What is done to one that does not count may reach beyond its end.
        self._ended = now if counts else None

    def take(self) -> Pace | None:
        """What was added up since the last time; None if that is no step."""
        if not self._steps:
            return None
        pace = Pace(
            self._seconds / self._steps,
            self._data / self._steps,
            self._images / self._seconds,
        )
        self._data = self._seconds = 0.0
        self._steps = self._images = 0
        return pace
