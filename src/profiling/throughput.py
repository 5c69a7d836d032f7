"""Training throughput: images a second, seconds a step, share of waiting for data."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Throughput:
    """Mean over some steps."""

    step_seconds: float
    data_seconds: float  # wait for the batch, in one step
    images_per_second: float

    @property
    def data_share(self) -> float:
        """Share of a step that is spent waiting for its batch."""
        return self.data_seconds / self.step_seconds


class ThroughputMeter:
    """Sums over steps until :meth:`take`; reads the clock twice a step.

    On a GPU a step ends when its kernels are queued. The queue has a bounded length, so the mean
    over some steps is that of the device.

    Args:
        clock: returns seconds; must be monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._last_end: float | None = None  # None after a pause
        self._data = 0.0
        self._wait = 0.0
        self._seconds = 0.0
        self._steps = 0
        self._images = 0

    def pause(self) -> None:
        """Exclude the time until the next step, for the end of an epoch or a validation."""
        self._last_end = None

    def start_step(self) -> None:
        """Start a step; call it when its batch has arrived."""
        if self._last_end is not None:
            self._wait = self._clock() - self._last_end

    def end_step(self, images: int, *, counts: bool = True) -> None:
        """End a step.

        Args:
            images: size of its batch.
            counts: False excludes the step, for example a profiled one.
        """
        now = self._clock()
        if self._last_end is not None and counts:
            self._seconds += now - self._last_end
            self._data += self._wait
            self._images += images
            self._steps += 1
        # The profiler may still work after the end of an excluded step.
        self._last_end = now if counts else None

    def take(self) -> Throughput | None:
        """Return the mean since the last call and reset it; None if no step counted."""
        if not self._steps:
            return None
        throughput = Throughput(
            self._seconds / self._steps,
            self._data / self._steps,
            self._images / self._seconds,
        )
        self._data = self._seconds = 0.0
        self._steps = self._images = 0
        return throughput
