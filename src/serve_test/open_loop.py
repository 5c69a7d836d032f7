"""One probe: requests at scheduled times, whatever the servers do.

Closed loops wait for an answer before they send the next request, which hides the queue. Here the
latency of a request counts from its scheduled time, so a late send is part of it (MLPerf Inference,
scenario Server; "coordinated omission").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from src.serve_test.queue import BatchQueue

Times = NDArray[np.float64]  # (n,), seconds


class Done(NamedTuple):
    """A batch that a stream has answered."""

    stream: int
    time: float


class Servers(Protocol):
    """Streams that each answer one batch at a time, and the clock that they are timed by."""

    @property
    def streams(self) -> int:
        """Number of streams."""

    def now(self) -> float:
        """Return the time in seconds."""

    def begin(self, stream: int, images: int) -> None:
        """Let an idle stream answer a batch, without waiting for it."""

    def wait(self, until: float | None) -> list[Done]:
        """Wait until a batch is answered or ``until`` is reached, and return what is answered.

        With None only an answer ends the waiting.
        """


@dataclass(frozen=True)
class Traffic:
    """The outcome of the requests of a probe.

    Args:
        latencies: from the scheduled time to the answer, for the requests that were sent. A request
            without an answer has its age at the end.
        lags: from the scheduled time to the moment at which the generator handled the request.
        batches: number of requests of each batch, in order.
        backlog: requests without an answer when the last one arrived, or when the probe was given
            up.
        seconds: from the start to the last answer.
        is_cut: it was given up, because a request waited for too long.
    """

    latencies: Times
    lags: Times
    batches: Sequence[int]
    backlog: int
    seconds: float
    is_cut: bool


def poisson_arrivals(rate: float, count: int, seed: int) -> Times:
    """Return the times of a Poisson process from 0.

    One seed gives the same process at every rate, but for the scale of time. So the rates of a
    search are compared on the same bursts.
    """
    gaps = np.random.default_rng(seed).exponential(size=count)
    times: Times = np.cumsum(gaps) / rate
    return times


def serve(arrivals: Times, queue: BatchQueue, servers: Servers, patience: float) -> Traffic:
    """Send the requests of a schedule and return what happened to them.

    Args:
        arrivals: scheduled times from 0, ascending.
        queue: an empty queue.
        servers: idle streams.
        patience: seconds after which an unanswered request ends the probe.
    """
    return _Probe(arrivals, queue, servers, patience).run()


class _Probe:
    def __init__(
        self, arrivals: Times, queue: BatchQueue, servers: Servers, patience: float
    ) -> None:
        self._queue = queue
        self._servers = servers
        self._patience = patience
        self._start = servers.now()
        self._scheduled = (arrivals + self._start).tolist()
        self._sent = 0
        self._answered_at: list[float | None] = [None] * len(arrivals)
        self._lags: list[float] = []
        self._batches: list[int] = []
        self._working: dict[int, list[int]] = {}  # requests by stream
        self._backlog: int | None = None

    def run(self) -> Traffic:
        is_cut = False
        while self._sent < len(self._scheduled) or self._queue or self._working:
            now = self._servers.now()
            if self._is_hopeless(now):
                is_cut = True
                break
            self._send(now)
            self._dispatch(now)
            self._finish(self._servers.wait(self._next_event()))
        backlog = self._unanswered() if self._backlog is None else self._backlog
        end = self._servers.now()
        while self._working:  # given up: the streams must be idle for the next probe
            self._finish(self._servers.wait(None), counts=False)
        return Traffic(
            latencies=np.array(
                [
                    (end if answered is None else answered) - scheduled
                    for scheduled, answered in zip(
                        self._scheduled[: self._sent], self._answered_at, strict=False
                    )
                ]
            ),
            lags=np.array(self._lags),
            batches=self._batches,
            backlog=backlog,
            seconds=end - self._start,
            is_cut=is_cut,
        )

    def _is_hopeless(self, now: float) -> bool:
        working = [self._scheduled[requests[0]] for requests in self._working.values()]
        oldest = [*working, *([self._queue.oldest] if self._queue.oldest is not None else [])]
        return bool(oldest) and now - min(oldest) > self._patience

    def _send(self, now: float) -> None:
        while self._sent < len(self._scheduled) and self._scheduled[self._sent] <= now:
            scheduled = self._scheduled[self._sent]
            self._queue.arrive(self._sent, scheduled)
            self._lags.append(now - scheduled)
            self._sent += 1
        if self._sent == len(self._scheduled) and self._backlog is None:
            self._backlog = self._unanswered()

    def _dispatch(self, now: float) -> None:
        for stream in range(self._servers.streams):
            if stream in self._working:
                continue
            requests = self._queue.take(now)
            if not requests:
                return
            self._working[stream] = requests
            self._batches.append(len(requests))
            self._servers.begin(stream, len(requests))

    def _next_event(self) -> float | None:
        """Return the time of the next arrival, or of the next batch if a stream is free for it."""
        times = self._scheduled[self._sent : self._sent + 1]
        if self._queue.due is not None and len(self._working) < self._servers.streams:
            times = [*times, self._queue.due]
        return min(times, default=None)

    def _finish(self, answers: Sequence[Done], *, counts: bool = True) -> None:
        for answer in answers:
            for request in self._working.pop(answer.stream):
                if counts:
                    self._answered_at[request] = answer.time

    def _unanswered(self) -> int:
        return len(self._queue) + sum(map(len, self._working.values()))
