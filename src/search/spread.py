"""An engine that trains on several machines at once.

It hands out trainings, tries one again whose machine was lost, and stops them on a signal. It knows
no library: a :class:`Cluster` runs the trainings.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from src.errors import LightshipError
from src.search.engine import Ended, Retried, Training
from src.search.trials import Trained, TrialError
from src.system import signals
from src.system.console import Report

_POLL_SECONDS = 1.0
# For a checkpoint and the end of a process. Then the connection ends, and with it the workers. Ray
# kills their direct children, the trainings, which go on from their last checkpoints next time.
_STOP_SECONDS = 120.0


@dataclass(frozen=True)
class Lost:
    """A training that ended because its worker or machine did, which says nothing about it."""

    reason: str


@dataclass(frozen=True)
class Doubted(Lost):
    """A training that failed. It may be its machine, so the cluster tries another one, once."""


@dataclass(frozen=True)
class Finished:
    """The end of a training on a machine.

    Args:
        training: the training.
        result: its state, or why it ended without one.
        seconds: of the training itself; 0 if it was lost.
        machine: name of the machine.
    """

    training: Training
    result: Trained | TrialError | Lost
    seconds: float = 0.0
    machine: str | None = None


# The end of a training and its result for the search: lost if it is begun once more.
_Result = tuple[Finished, Trained | TrialError | Lost]


class Cluster(Protocol):
    """Machines that train. Tests replace them."""

    def slots(self) -> int:
        """Return how many trainings the machines that are there can take at once."""

    def start(self, training: Training) -> None:
        """Start a training on one of the machines."""

    def wait(self, seconds: float) -> Finished | None:
        """Return a training that has ended. Wait at most some seconds for it, and return None."""

    def stop(self) -> None:
        """Ask all trainings to save a checkpoint and end."""


class Spread:
    """Trains on as many machines as there are.

    Args:
        connect: connects to the machines for the time of a rung. Nothing of them is left running on
            this machine after that, because the search measures latencies on it.
        report: gets a line when trainings are stopped.
        wait_for_orphans: waits until no training runs that a lost worker left behind. Nothing
            is measured beside one.
        clock: seconds that only grow. Tests replace it.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Cluster]],
        report: Report,
        wait_for_orphans: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._report = report
        self._wait_for_orphans = wait_for_orphans
        self._clock = clock

    def check(self) -> None:
        """Connect to the machines once, which checks them.

        Raises:
            UsageError: there are none, or they cannot train.
        """
        with self._connect():
            pass

    def train_all(self, trainings: Iterator[Training]) -> Generator[Ended | Retried]:
        """Train on all machines at once, and yield each training when it has ended.

        Raises:
            LightshipError: no machine is left.
            Stopped: a signal came, and the trainings have saved checkpoints.
        """
        started = self._clock()
        first = next(trainings, None)
        if first is None:  # all are trained already
            return
        with self._connect() as cluster, signals.noting_signals() as received:
            rung = _Rung(cluster, itertools.chain([first], trainings), received)
            try:
                # A training may end with a result while the others are stopped.
                for finished, result in itertools.chain(rung.run(), self._stopping(rung)):
                    if isinstance(result, Lost):
                        yield Retried(finished.training)
                        continue
                    now = self._clock()
                    yield Ended(
                        finished.training,
                        result,
                        finished.seconds,
                        now - started,
                        finished.machine,
                    )
                    started = now
            finally:  # the generator may be closed while trainings run
                for _ in self._stopping(rung):
                    pass
        if received:
            raise signals.Stopped(received[0])
        self._wait_for_orphans()

    def _stopping(self, rung: _Rung) -> Iterator[_Result]:
        """Stop the trainings that run, and yield those that end with a result nevertheless."""
        if rung.running:
            if not rung.is_stopping:
                self._report("stopping the trainings")
            yield from rung.stop(self._clock)


@dataclass(frozen=True)
class _Stop:
    """The stop of a rung: the latest end of the wait, and the signals that came before it."""

    end: float
    signals: int


class _Rung:
    """The trainings of a rung.

    Args:
        cluster: runs them.
        trainings: taken when a machine is free.
        received: signals that came. No training is started after the first one.
    """

    def __init__(
        self, cluster: Cluster, trainings: Iterator[Training], received: list[int]
    ) -> None:
        self._cluster = cluster
        self._trainings = trainings
        self._received = received
        self._again: deque[Training] = deque()
        self._lost: set[Training] = set()
        self._reason = ""  # of the last loss
        self._stop: _Stop | None = None
        self.running: set[Training] = set()

    @property
    def is_stopping(self) -> bool:
        return self._stop is not None

    def run(self) -> Iterator[_Result]:
        """Yield each training that has ended, until all have or a signal comes."""
        while not self._received:
            self._start_waiting()
            if not self.running:
                return
            finished = self._cluster.wait(_POLL_SECONDS)
            if finished is None:
                continue
            training, result = finished.training, finished.result
            self.running.remove(training)
            if not isinstance(result, Lost):
                yield finished, result
                continue
            self._reason = f" (the last one was lost: {result.reason})"
            if isinstance(result, Doubted):
                self._again.append(training)
                yield finished, result
            elif training not in self._lost:
                self._lost.add(training)
                self._again.append(training)
                yield finished, result
            elif not self._received:
                name = training.request.name
                yield finished, TrialError(f"{name}: its machine was lost twice: {result.reason}")

    def _start_waiting(self) -> None:
        """Start trainings as long as machines are free.

        Raises:
            LightshipError: trainings wait, and no machine is left.
        """
        slots = self._cluster.slots()
        while not self._received and (len(self.running) < slots or not self.running):
            training = self._again.popleft() if self._again else next(self._trainings, None)
            if training is None:
                return
            if not slots:
                raise LightshipError(
                    "engine: no machine of the cluster is left that can take a training"
                    f"{self._reason}; start one and run the command again, which goes on"
                )
            self._cluster.start(training)
            self.running.add(training)

    def stop(self, clock: Callable[[], float]) -> Iterator[_Result]:
        """Stop the trainings, wait until they have saved checkpoints, and yield those with results.

        A second signal, as a second Ctrl-C, ends the wait. A second call goes on with it.
        """
        if self._stop is None:
            self._cluster.stop()
            self._stop = _Stop(clock() + _STOP_SECONDS, len(self._received))
        end, before = self._stop.end, self._stop.signals
        while self.running and clock() < end and len(self._received) == before:
            finished = self._cluster.wait(_POLL_SECONDS)
            if finished is None:
                continue
            self.running.discard(finished.training)
            if not isinstance(finished.result, Lost):
                yield finished, finished.result
