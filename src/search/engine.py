"""Engines, which train the candidates of a rung: one after the other, or on several machines."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Protocol

from src.forecast.candidate import Request
from src.search.trials import Trained, TrialError, Trials


@dataclass(frozen=True)
class Training:
    """A candidate and the epoch to train it to.

    Args:
        request: the candidate.
        key: of the training.
        epoch: epochs to have been trained at the end.
        epochs: of the whole training.
    """

    request: Request
    key: str
    epoch: int
    epochs: int


@dataclass(frozen=True)
class Ended:
    """The end of a training.

    Args:
        training: the training.
        result: its state, or why it failed.
        seconds: of the training itself.
        search_seconds: by which it made the search longer: the seconds since the end of the
            training before it. Less than ``seconds`` where trainings run side by side. Their sum
            over a rung is the time of the rung.
        machine: name of the machine that trained; None for that of the command.
    """

    training: Training
    result: Trained | TrialError
    seconds: float
    search_seconds: float
    machine: str | None = None


@dataclass(frozen=True)
class Retried:
    """A training that is begun once more, because its machine was lost."""

    training: Training


class Engine(Protocol):
    """Trains candidates. Forecasting and judging measure time, and are no business of an engine."""

    def train_all(self, trainings: Iterator[Training]) -> Generator[Ended | Retried]:
        """Train, and yield each training when it has ended or is retried, in any order.

        A training is taken from the iterator when a machine is free for it, so that the search
        decides at that moment whether it still fits into the budget. A training that fails costs no
        other one. Closing the generator stops the trainings that run.

        Raises:
            Stopped: a signal came, and the trainings have saved checkpoints.
        """


class OneByOne:
    """Trains one candidate after the other on this machine.

    Args:
        trials: trains.
        clock: seconds that only grow.
    """

    def __init__(self, trials: Trials, clock: Callable[[], float] = time.monotonic) -> None:
        self._trials = trials
        self._clock = clock

    def train_all(self, trainings: Iterator[Training]) -> Generator[Ended]:
        """Train, and yield each training when it has ended."""
        for training in trainings:
            started = self._clock()
            result: Trained | TrialError
            try:
                result = self._trials.train(
                    training.request, training.key, training.epoch, training.epochs
                )
            except TrialError as error:
                result = error
            seconds = self._clock() - started
            yield Ended(training, result, seconds, seconds)
