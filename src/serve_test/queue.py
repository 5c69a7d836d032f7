"""The queue of a batching service: arithmetic alone, without a clock and without a process."""

from __future__ import annotations

from collections import deque


class BatchQueue:
    """Requests that wait for a free stream, and the rule by which they form batches.

    A batch may leave when it has the largest size, or when its oldest request has waited for the
    window. A window of 0 lets each request leave at once; with a largest batch of 1 there is no
    batching at all. Times are seconds on any clock, which the caller reads.

    Args:
        window: seconds that the oldest request waits for others.
        largest: requests of a batch at most.
    """

    def __init__(self, window: float, largest: int) -> None:
        self._window = window
        self._largest = largest
        self._waiting: deque[tuple[int, float]] = deque()  # request and time of arrival

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> float | None:
        """Time of arrival of the oldest request; None if none waits."""
        return self._waiting[0][1] if self._waiting else None

    @property
    def due(self) -> float | None:
        """Time from which the next batch may leave; None if no request waits."""
        if not self._waiting:
            return None
        oldest = self._waiting[0][1]
        return oldest if len(self._waiting) >= self._largest else oldest + self._window

    def arrive(self, request: int, time: float) -> None:
        """Add a request that arrived at ``time``, which is not before the one ahead of it."""
        self._waiting.append((request, time))

    def take(self, now: float) -> list[int]:
        """Return the requests of the batch that leaves now, oldest first; none if none is due."""
        due = self.due
        if due is None or due > now:
            return []
        count = min(self._largest, len(self._waiting))
        return [self._waiting.popleft()[0] for _ in range(count)]
