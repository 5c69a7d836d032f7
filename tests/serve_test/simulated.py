"""Servers on a simulated clock, with planted service times."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterator

from src.serve_test.open_loop import Done
from src.serve_test.setups import Setup


class SimulatedServers:
    """Streams whose batches take planted times; nothing waits for a real clock.

    Args:
        seconds_of: returns the time of a batch of n images.
        streams: number of streams.
        lateness: seconds by which every wait ends too late, as on a busy machine.
    """

    def __init__(
        self, seconds_of: Callable[[int], float], streams: int = 1, lateness: float = 0.0
    ) -> None:
        self._seconds_of = seconds_of
        self._streams = streams
        self._lateness = lateness
        self._working: list[tuple[float, int]] = []  # end and stream
        self.time = 0.0
        self.calls = 0

    @property
    def streams(self) -> int:
        return self._streams

    def now(self) -> float:
        return self.time

    def begin(self, stream: int, images: int) -> None:
        assert stream not in {other for _, other in self._working}
        self.calls += 1
        heapq.heappush(self._working, (self.time + self._seconds_of(images), stream))

    def wait(self, until: float | None) -> list[Done]:
        first = self._working[0][0] if self._working else None
        if until is None:
            assert first is not None, "nothing would ever end this"
        if first is not None and (until is None or first <= until):
            self.time = max(self.time, first)
            return [Done(heapq.heappop(self._working)[1], first)]
        assert until is not None
        self.time = max(self.time, until + self._lateness)
        return []

    def call_seconds(self, images: int) -> float:
        return self._seconds_of(images)


class Opened:
    """Counts the simulated streams that were started for each configuration."""

    def __init__(self, seconds_of: Callable[[int], float], lateness: float = 0.0) -> None:
        self._seconds_of = seconds_of
        self._lateness = lateness
        self.setups: list[Setup] = []
        self.running = 0

    @contextlib.contextmanager
    def __call__(self, setup: Setup) -> Iterator[SimulatedServers]:
        self.setups.append(setup)
        self.running += 1
        try:
            yield SimulatedServers(self._seconds_of, setup.streams, self._lateness)
        finally:
            self.running -= 1
