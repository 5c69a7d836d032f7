"""The time budget of a search, and forecasts of the time of its steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from statistics import median
from typing import Final

import msgspec

from src.forecast.records import TrainingCost
from src.search.records import Measured, Spent

# A fifth for validation and checkpoints, which the forecast of a training does not have.
_BESIDE_TRAINING = 1.2
FIRST_START_S: Final = 20.0  # of a command, before any was measured
# Judging exports all formats with a search for an int8 recipe and takes the whole measurement; a
# forecast has neither. Before any was measured.
_FIRST_JUDGING = 4.0  # times the longest forecast
_LEAST_JUDGING_S = 60.0


class Budget:
    """The time that is left.

    Args:
        seconds: of the whole search; None for no bound.
        measured: returns all steps for the candidates so far, also those of earlier commands.
    """

    def __init__(self, seconds: float | None, measured: Callable[[], Iterable[Measured]]) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self._measured = measured

    @property
    def left(self) -> float:
        return self._seconds - spent_on(self._measured()).total

    def shortage(self, seconds: float, what: str, unnoted: float = 0.0) -> str | None:
        """Return why steps of this length do not fit in the time that is left; None if they do.

        Args:
            seconds: of the steps.
            what: the steps, in words.
            unnoted: seconds that have passed and are in no step yet.
        """
        left = self.left - unnoted
        if seconds <= left:
            return None
        return f"{what} was forecast to take {in_words(seconds)}, with {in_words(left)} left"


def spent_on(measured: Iterable[Measured]) -> Spent:
    """Return the seconds of each stage. Trainings that ran side by side count once."""
    entries = list(measured)
    return Spent(
        forecast_s=sum(entry.forecast_seconds for entry in entries),
        training_s=sum(rung.spent_seconds for entry in entries for rung in entry.rungs),
        judging_s=sum(entry.judging_seconds for entry in entries),
        lost_s=sum(entry.lost_seconds for entry in entries),
    )


class StepTimes:
    """Forecasts of the seconds of steps, corrected by the steps that were measured.

    Args:
        measured: the steps of earlier commands.
    """

    def __init__(self, measured: Iterable[Measured]) -> None:
        entries = list(measured)
        self._starts: list[float] = []
        self._judged = [entry.judging_seconds for entry in entries if entry.judging_seconds]
        self._forecasts = [entry.forecast_seconds for entry in entries if entry.forecast_seconds]

    def forecast_took(self, seconds: float) -> None:
        """Note the time of a candidate's forecast."""
        self._forecasts.append(seconds)

    def training_took(self, cost: TrainingCost, epochs: int, seconds: float) -> None:
        """Note the time of a command that trained a number of epochs."""
        self._starts.append(max(0.0, seconds - epochs * epoch_seconds(cost)))

    def judging_took(self, seconds: float) -> None:
        """Note the time of an export with its measurement."""
        self._judged.append(seconds)

    def forecast(self) -> float:
        """Return the seconds of one more candidate's forecast; 0 before any was measured."""
        return median(self._forecasts) if self._forecasts else 0.0

    def training(self, cost: TrainingCost, epochs: int) -> float:
        """Return the seconds of a command that trains a number of epochs; 0 for no epoch."""
        if epochs <= 0:
            return 0.0
        start = median(self._starts) if self._starts else FIRST_START_S
        return start + epochs * epoch_seconds(cost)

    def judging(self) -> float:
        """Return the seconds of the export and measurement of a candidate."""
        if self._judged:
            return median(self._judged)
        return max(_LEAST_JUDGING_S, _FIRST_JUDGING * max(self._forecasts, default=0.0))


def epoch_seconds(cost: TrainingCost) -> float:
    """Return the seconds of an epoch with its validation."""
    return _BESIDE_TRAINING * cost.images / cost.images_per_second


def with_epoch_seconds(cost: TrainingCost, seconds: float) -> TrainingCost:
    """Return the cost of a training on the same images whose epochs take other seconds."""
    if not cost.images:  # no speed makes its epochs longer
        return cost
    speed = _BESIDE_TRAINING * cost.images / seconds
    return msgspec.structs.replace(cost, images_per_second=speed)


def in_words(seconds: float) -> str:
    """Return a duration with a unit."""
    if seconds < 90:  # noqa: PLR2004
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004
