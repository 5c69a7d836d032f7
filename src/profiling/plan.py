"""Plan of the windows: which steps of which epochs are recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass

from src.profiling.options import ProfilingOptions


@dataclass(frozen=True)
class Window:
    """Steps of one epoch: ``warmup`` steps that are dropped, then ``active`` recorded steps."""

    first: int  # step of the epoch, from 0, at which the profiler starts
    warmup: int
    active: int

    @property
    def end(self) -> int:
        """First step after the window."""
        return self.first + self.warmup + self.active


def window_at(start: int, steps: int, options: ProfilingOptions) -> Window | None:
    """Return a window at step ``start`` of an epoch, moved forward to fit into the epoch.

    An epoch that is too short for a whole window shortens ``warmup`` before ``active``.

    Args:
        start: step of the epoch, from 0.
        steps: number of steps of the epoch.
        options: gives the length of the window.

    Returns:
        None if the epoch has no steps.
    """
    active = min(options.active, steps)
    warmup = min(options.warmup, steps - active)
    first = max(0, min(start, steps - active - warmup))
    return Window(first, warmup, active) if active else None


def training_windows(
    epoch: int, epochs: int, steps: int, options: ProfilingOptions
) -> list[Window]:
    """Return the training windows of one epoch, in order and without overlap.

    Args:
        epoch: number of the epoch, where 0 is the first one that this process trains.
        epochs: number of epochs that this process trains.
        steps: number of steps of an epoch.
        options: gives the number of windows and their spread.
    """
    if options.spread == "start":
        starts = [options.wait] if epoch < options.windows else []
    else:
        # Divide the training into equal parts; a window begins each part.
        count = _window_count(epochs, steps, options)
        positions = [divmod(k * epochs * steps // count, steps) for k in range(count)]
        starts = [step + options.wait for its_epoch, step in positions if its_epoch == epoch]
    windows: list[Window] = []
    for start in starts:
        window = window_at(start, steps, options)
        if window is not None and (not windows or window.first >= windows[-1].end):
            windows.append(window)
    return windows


def _window_count(epochs: int, steps: int, options: ProfilingOptions) -> int:
    """Return how many windows fit into the training, at most ``options.windows``."""
    room = math.ceil(epochs * steps / (options.warmup + options.active)) if steps else 0
    return min(options.windows, room)
