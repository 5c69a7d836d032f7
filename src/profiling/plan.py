"""Where the windows lie: which steps of which epoch are recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from src.profiling.options import ProfilingOptions


@dataclass(frozen=True)
class Window:
    """Steps of one epoch: ``warmup`` of which nothing is kept, then ``active`` that are."""

    first: int  # the step of the epoch, from 0, in which the profiler is switched on
    warmup: int
    active: int

    @property
    def end(self) -> int:
        """The first step behind it."""
        return self.first + self.warmup + self.active


def window_at(start: int, steps: int, options: ProfilingOptions) -> Window | None:
    """A window that begins at the step ``start`` of an epoch, or earlier where it must end sooner.

    An epoch that is too short for all of it keeps the steps that are recorded before those that
    only lead there. None if the epoch has no step.

    Args:
        start: from 0.
        steps: of the epoch.
        options: how long the window is.
    """
    active = min(options.active, steps)
    warmup = min(options.warmup, steps - active)
    first = max(0, min(start, steps - active - warmup))
    return Window(first, warmup, active) if active else None


def training_windows(
    epoch: int, epochs: int, steps: int, options: ProfilingOptions
) -> list[Window]:
    """The windows of one epoch of the training, in order, none of which overlap.

    Args:
        epoch: its number, from 0, counted from the first one that this process trains.
        epochs: that this process trains in all.
        steps: of an epoch.
        options: how many windows there are, and where.
    """
    if options.spread == "start":
        starts = [options.wait] if epoch < options.windows else []
    else:
        # The windows cut the training into equal parts, and each begins its part.
        count = _fits(epochs, steps, options)
        places = [divmod(k * epochs * steps // count, steps) for k in range(count)]
        starts = [step + options.wait for there, step in places if there == epoch]
    found: list[Window] = []
    for start in starts:
        window = window_at(start, steps, options)
        if window is not None and (not found or window.first >= found[-1].end):
            found.append(window)
    return found


def _fits(epochs: int, steps: int, options: ProfilingOptions) -> int:
    """How many windows the training has room for."""
    room = math.ceil(epochs * steps / (options.warmup + options.active)) if steps else 0
    return min(options.windows, room)
