"""The search for the highest rate that holds: few probes, each at one rate."""

from __future__ import annotations

import math

MOST_PROBES = 14
GROWTH = 1.5  # factor of the first step; each further step in the same direction is its square
LATER_GROWTH = 1.1  # of a run after the first, which knows about where the rate is


class Bracket:
    """The highest rate that was seen to hold, and the lowest above it that was not.

    From a first guess the rate grows, or shrinks, by larger and larger steps until there is one of
    each kind. The gap is then halved, on a logarithmic scale, until it is within the resolution.

    Args:
        guess: the first rate, requests per second.
        step: factor of the first step.
        resolution: ratio of the two rates at which the search ends.
    """

    def __init__(self, guess: float, step: float = GROWTH, resolution: float = 1.05) -> None:
        self._next = guess
        self._step = step
        self._resolution = resolution
        self.held: float | None = None
        self.failed: float | None = None
        self.probes = 0

    @property
    def is_closed(self) -> bool:
        """True if both rates are known."""
        return self.held is not None and self.failed is not None

    def next_rate(self) -> float | None:
        """Return the rate of the next probe; None if the search is over."""
        if self.probes >= MOST_PROBES:
            return None
        if self.held and self.failed and self.failed <= self.held * self._resolution:
            return None
        return self._next

    def add(self, rate: float, *, holds: bool) -> None:
        """Add the outcome of a probe at the rate that :meth:`next_rate` returned.

        A rate that is not within the gap tells nothing new, and is left out.
        """
        if (self.held and rate <= self.held) or (self.failed and rate >= self.failed):
            return
        self.probes += 1
        if holds:
            self.held = rate
        else:
            self.failed = rate
        if self.held is not None and self.failed is not None:
            self._next = math.sqrt(self.held * self.failed)
            return
        self._next = rate * self._step if holds else rate / self._step
        self._step = self._step**2
