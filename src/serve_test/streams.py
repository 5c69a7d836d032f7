"""Streams as worker processes, each with the exported file loaded."""

from __future__ import annotations

import select
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from src.serve_test.open_loop import Done
from src.worker import protocol
from src.worker.errors import WorkerError
from src.worker.process import WorkerProcess
from src.worker.requested_settings import as_requested

_WARM_UP_TOLERANCE = 0.05
_WARM_UP_SECONDS = 3.0
_CALLS_SECONDS = 1.0  # of timing single calls
_LEAST_CALLS, _MOST_CALLS = 9, 300
_WAIT_SECONDS = 1.0  # between two looks at the time limit of an answer


class ProcessStreams:
    """The streams of one configuration: see :class:`src.serve_test.open_loop.Servers`.

    Args:
        start: starts a process for a file.
        streams: number of processes.
        images: that every process holds, (n, 3, H, W), n the largest batch.
        classes: number of classes, which every answer must have.
        answer_seconds: time limit of one answer.
        at_once: number of processes that start at the same time. With more than there are cores,
            each may start too slowly for its time limit.

    Raises:
        Unavailable: the format cannot run on that device here.
        WorkerError: a process failed.
    """

    def __init__(
        self,
        start: Callable[[], WorkerProcess],
        streams: int,
        images: NDArray[np.float32],
        classes: int,
        answer_seconds: float,
        at_once: int,
    ) -> None:
        self._workers: list[WorkerProcess] = []
        self._answer_seconds = answer_seconds
        self._begun: dict[int, float] = {}  # by stream, when its batch began
        try:
            while (begun := len(self._workers)) < streams:
                for _ in range(min(at_once, streams - begun)):
                    self._workers.append(start())
                _prepare(self._workers[begun:], classes, images)
        except BaseException:
            self.close()
            raise

    @property
    def streams(self) -> int:
        """Number of streams."""
        return len(self._workers)

    def now(self) -> float:
        """Return the time in seconds."""
        return time.perf_counter()

    def begin(self, stream: int, images: int) -> None:
        """Let an idle stream answer a batch, without waiting for it."""
        self._workers[stream].begin(protocol.AnswerHeld(images=images))
        self._begun[stream] = self.now()

    def wait(self, until: float | None) -> list[Done]:
        """Wait until a batch is answered or ``until`` is reached, and return what is answered.

        Raises:
            WorkerError: a process failed, or did not answer in time.
        """
        working = {self._workers[stream].fileno(): stream for stream in self._begun}
        while True:
            left = _WAIT_SECONDS if until is None else min(_WAIT_SECONDS, until - self.now())
            # Not poll, whose timeouts are in whole milliseconds.
            readable, _, _ = select.select([*working], [], [], max(0.0, left))
            if readable:
                return [self._end(working[descriptor]) for descriptor in readable]
            now = self.now()
            if until is not None and now >= until:
                return []
            if any(now - begun > self._answer_seconds for begun in self._begun.values()):
                raise WorkerError(
                    f"no answer within {self._answer_seconds:g} s (timeout_seconds); killed"
                )

    def call_seconds(self, images: int) -> float:
        """Return the median time of a call, from the request to the answer, on the first stream."""
        seconds: list[float] = []
        end = self.now() + _CALLS_SECONDS
        while len(seconds) < _LEAST_CALLS or (len(seconds) < _MOST_CALLS and self.now() < end):
            began = self.now()
            self.begin(0, images)
            [answer] = self.wait(None)
            seconds.append(answer.time - began)
        return statistics.median(seconds)

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.close()

    def _end(self, stream: int) -> Done:
        self._workers[stream].end(protocol.AnswerHeld(images=0))
        del self._begun[stream]
        return Done(stream, self.now())


def _prepare(workers: Sequence[WorkerProcess], classes: int, images: NDArray[np.float32]) -> None:
    """Load the file in some processes at the same time, and call it with every batch size.

    A runtime may compile or allocate for a new one.
    """
    for loaded in _answers(workers, protocol.Load(classes=classes)):
        as_requested(loaded)
    _answers(workers, protocol.Hold(), images)
    warm_up = protocol.WarmUp(tolerance=_WARM_UP_TOLERANCE, max_seconds=_WARM_UP_SECONDS)
    _answers(workers, warm_up)
    for count in _twice(range(1, len(images) + 1)):
        _answers(workers, protocol.AnswerHeld(images=count))


def _answers(
    workers: Sequence[WorkerProcess],
    request: protocol.Request[protocol.AnswerType],
    images: NDArray[np.float32] | None = None,
) -> list[protocol.AnswerType]:
    """Return the answers of all processes, which work at the same time."""
    for worker in workers:
        worker.begin(request, images)
    return [worker.end(request) for worker in workers]


def _twice(values: Sequence[int]) -> list[int]:
    return [value for value in values for _ in range(2)]
