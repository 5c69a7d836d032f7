"""One configuration in one run of a load test: its processes and its probes."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol

from src.run.serve_test import Probe
from src.serve_test import judgement
from src.serve_test.open_loop import Servers, poisson_arrivals, serve
from src.serve_test.queue import BatchQueue
from src.serve_test.setups import Setup
from src.serve_test.state import State

_PATIENCE = 10  # times the limit; a request that waits for longer ends the probe


class Streams(Servers, Protocol):
    """Idle streams of one configuration, which can also time single calls."""

    def call_seconds(self, images: int) -> float:
        """Return the median time of a call."""


Open = Callable[[Setup], AbstractContextManager[Streams]]
Generating = Callable[[], AbstractContextManager[None]]


class Slot:
    """One configuration in one run. Its processes start when the first probe is to be measured.

    Args:
        state: of the configuration.
        run: its number.
        limit: of the p99, in seconds.
        open_streams: starts the streams of a configuration.
        generating: binds this thread to the generator's core.
    """

    def __init__(
        self,
        state: State,
        run: int,
        limit: float,
        open_streams: Open,
        generating: Generating,
    ) -> None:
        self._state = state
        self._run = run
        self._limit = limit
        self._open = open_streams
        self._generating = generating
        self._stack = ExitStack()
        self._opened: Streams | None = None

    def capacity(self) -> float:
        """Return the requests per second that the streams answer if they never wait."""
        call, batch_call = time_calls(self._state, self._streams)
        setup = self._state.setup
        return setup.streams * max(1 / call, setup.largest / batch_call)

    def seconds(self) -> float:
        """Return the seconds of the slot's probes."""
        return sum(probe.seconds for probe in self._state.probes if probe.run == self._run)

    def measure(self, rate: float, attempt: int, arrivals: int) -> Probe:
        """Offer a rate, and add the probe to the state."""
        streams = self._streams()
        setup = self._state.setup
        schedule = poisson_arrivals(rate, arrivals, seed=1000 * self._run + attempt)
        queue = BatchQueue(setup.window, setup.largest)
        with self._generating(), _without_garbage_collection():
            traffic = serve(schedule, queue, streams, _PATIENCE * self._limit)
        judged = judgement.judge(traffic, self._limit, setup.streams, setup.largest)
        sizes = Counter(traffic.batches)
        probe = Probe(
            run=self._run,
            attempt=attempt,
            rate=rate,
            seconds=traffic.seconds,
            warm_up=judgement.warm_up_of(len(traffic.latencies)),
            p50_s=judged.p50,
            p99_s=judged.p99,
            lag_p99_s=judged.lag_p99,
            backlog=traffic.backlog,
            is_cut=traffic.is_cut,
            verdict=judged.verdict,
            batches={str(size): sizes[size] for size in sorted(sizes)},
            latencies_s=judgement.stored(traffic.latencies).tolist(),
        )
        self._state.probes.append(probe)
        return probe

    def close(self) -> None:
        """End the processes, if there are any."""
        self._stack.close()

    def _streams(self) -> Streams:
        if self._opened is None:
            self._opened = self._stack.enter_context(self._open(self._state.setup))
        return self._opened


def time_calls(state: State, streams: Callable[[], Streams]) -> tuple[float, float]:
    """Return the median seconds of a single call and of one with the largest batch.

    They are timed once for each configuration.
    """
    if state.call is None or state.batch_call is None:
        state.call = streams().call_seconds(1)
        largest = state.setup.largest
        state.batch_call = state.call if largest == 1 else streams().call_seconds(largest)
    return state.call, state.batch_call


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
