"""Planted machines, which train side by side by the clock of planted trials."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from src.search.engine import Training
from src.search.spread import Finished, Lost, Spread
from src.search.trials import Trained, TrialError
from tests.search.planted import EPOCH_S, PlantedTrials


class PlantedCluster:
    """Machines with one place for a training each.

    Args:
        trials: give the results.
        machines: their number.
    """

    def __init__(self, trials: PlantedTrials, machines: int) -> None:
        self.trials = trials
        self.machines = machines
        self.epoch_s: dict[str, float] = {}  # of candidates that are slower or faster
        self.losses: dict[str, int] = {}  # how often the machine of a candidate is lost
        self.signals_after: int | None = None  # trainings that have ended
        self.gone_after: int | None = None  # trainings, after which no machine is left
        self.saves = True  # False: a training that is stopped does not end
        self.too_late = 0  # trainings that end with a result after the stop
        self.ended = 0
        self.most = 0  # trainings at once
        self.connections = 0
        self.is_connected = False
        self.is_stopped = False
        self.stopped = 0  # trainings that ran at the stop
        self.calls_after_stop = 0
        self._ends: dict[Training, float] = {}

    @contextmanager
    def connect(self) -> Iterator[PlantedCluster]:
        assert not self._ends
        self.connections += 1
        self.is_connected = True
        try:
            yield self
        finally:
            self.is_connected = False
            self._ends.clear()
            self.is_stopped = False

    def engine(self) -> Spread:
        return Spread(self.connect, lambda *_: None, self._wait_for_orphans, self.trials.clock)

    def _wait_for_orphans(self) -> None:
        assert not self.is_connected
        self.trials.steps.append(("wait", ""))

    def slots(self) -> int:
        is_gone = self.gone_after is not None and self.ended >= self.gone_after
        return 0 if is_gone else self.machines

    def start(self, training: Training) -> None:
        assert len(self._ends) < self.machines
        assert not self.is_stopped
        self._ends[training] = self.trials.now + self._seconds(training)
        self.most = max(self.most, len(self._ends))

    def _seconds(self, training: Training) -> float:
        name = training.request.name
        epochs = training.epoch - self.trials.done.get(name, 0)
        return self.trials.start_s + epochs * self.epoch_s.get(name, EPOCH_S)

    def wait(self, seconds: float) -> Finished | None:
        if self.is_stopped:
            self.calls_after_stop += 1
            if self.calls_after_stop == 2 and not self.saves:
                signal.raise_signal(signal.SIGINT)
            if not self.saves:
                return None
            if self.too_late:
                self.too_late -= 1
                self.is_stopped = False
                ended = self.wait(seconds)
                self.is_stopped = True
                return ended
            training, _ = self._ends.popitem()
            return Finished(training, Lost("it was stopped"))
        training = min(self._ends, key=lambda each: self._ends[each])
        if self.ended == self.signals_after:
            self.signals_after = None
            signal.raise_signal(signal.SIGINT)
            return None
        end, name = self._ends[training], training.request.name
        if self.losses.get(name):
            self.losses[name] -= 1
            self._end(training, end)
            return Finished(training, Lost("the worker died"))
        taken = self._seconds(training)
        result: Trained | TrialError
        try:
            result = self.trials.train(
                training.request, training.key, training.epoch, training.epochs
            )
        except TrialError as error:
            result = error
        self._end(training, end)
        return Finished(training, result, taken, f"machine-{self.ended % self.machines}")

    def _end(self, training: Training, now: float) -> None:
        del self._ends[training]
        self.ended += 1
        self.trials.now = now  # the steps of planted trials themselves are one after the other

    def stop(self) -> None:
        self.is_stopped = True
        self.stopped = len(self._ends)
