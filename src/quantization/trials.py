"""The recipes that were tried, and the best of them so far."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from src.quantization.candidates import Candidates, CannotRunError, ModelT, RecipeT
from src.quantization.evaluation import Evaluation

_TIMING_ERROR = 0.1  # of the rough latency, a share of it


@dataclass(frozen=True)
class Trial(Generic[RecipeT]):
    """A recipe that was tried."""

    recipe: RecipeT
    evaluation: Evaluation
    within_budget: bool

    def beats(self, other: Trial[RecipeT]) -> bool:
        """Return True if this trial is the better one to ship.

        A trial within the budget beats one that is not. If both are within it, the faster one
        wins, or the one with fewer layers in float if the rough latencies are too close. If
        neither is, the one that agrees with the fp32 model on more images wins.
        """
        if self.within_budget != other.within_budget:
            return self.within_budget
        mine, others = self.evaluation, other.evaluation
        if self.within_budget:
            faster, slower = sorted((mine.seconds, others.seconds))
            if faster < (1 - _TIMING_ERROR) * slower:
                return mine.seconds == faster
            return len(self.recipe.kept_in_float) < len(other.recipe.kept_in_float)
        return (mine.agreement, mine.accuracy) > (others.agreement, others.accuracy)


@dataclass(frozen=True)
class Candidate(Generic[RecipeT, ModelT]):
    """A trial with its model."""

    trial: Trial[RecipeT]
    model: ModelT


@dataclass(frozen=True)
class TimedCandidate(Candidate[RecipeT, ModelT]):
    """A trial within the budget that was timed in turn with another model.

    ``gain`` says how many times as fast as that model this one is. It is below 1 if this one is
    slower.
    """

    gain: float


@dataclass(frozen=True)
class Gain(Generic[RecipeT]):
    """A recipe that was taken because it is faster than the best one before it."""

    recipe: RecipeT
    factor: float  # times as fast


class OutOfTimeError(Exception):
    """The deadline has passed, so no further recipe may be tried."""


class Trials(Generic[RecipeT, ModelT]):
    """The trials so far, and the best of them with its model. No other model is kept.

    Args:
        candidates: make and evaluate the models.
        max_drop: the accuracy budget, a share of 1.
        seconds: after this time no further recipe is tried; the first recipe always is.
        clock: returns seconds.
    """

    def __init__(
        self,
        candidates: Candidates[RecipeT, ModelT],
        max_drop: float,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tried: list[Trial[RecipeT]] = []
        self.cannot_run: dict[RecipeT, str] = {}  # and the reason of each
        self.gains: list[Gain[RecipeT]] = []
        self.reference = candidates.reference
        self._candidates = candidates
        self._best: Candidate[RecipeT, ModelT] | None = None
        self._max_drop = max_drop
        self._clock = clock
        self._deadline = clock() + seconds

    @property
    def best(self) -> Candidate[RecipeT, ModelT]:
        """The trial to ship so far, with its model.

        Raises:
            LookupError: there is no trial yet.
        """
        if self._best is None:
            raise LookupError("nothing was tried yet")
        return self._best

    @property
    def within_budget(self) -> bool:
        """True if the best trial so far keeps the budget; False if there is no trial yet."""
        return self._best is not None and self._best.trial.within_budget

    def require_time(self) -> None:
        """Raise OutOfTimeError if the deadline has passed."""
        if self._clock() >= self._deadline:
            raise OutOfTimeError

    def try_recipe(self, recipe: RecipeT) -> bool:
        """Try a recipe; return True if it keeps the budget.

        The recipe becomes the best one if it beats the best one so far.

        Raises:
            OutOfTimeError: the deadline has passed.
        """
        made = self._make(recipe)
        if made is None:
            return False
        self.tried.append(made.trial)
        if self._best is None or made.trial.beats(self._best.trial):
            self._best = made
        return made.trial.within_budget

    def try_faster(
        self, recipe: RecipeT, base: Candidate[RecipeT, ModelT]
    ) -> TimedCandidate[RecipeT, ModelT] | None:
        """Try a recipe and time its model in turn with that of ``base``.

        The latency of the trial is that of ``base`` divided by the gain, so that the two can be
        compared.

        Returns:
            None if the model cannot run or misses the budget.

        Raises:
            OutOfTimeError: the deadline has passed.
        """
        made = self._make(recipe)
        if made is None:
            return None
        if not made.trial.within_budget:
            self.tried.append(made.trial)
            return None
        try:
            gain = self._candidates.speedup(made.model, base.model)
        except CannotRunError as error:
            self.cannot_run[recipe] = str(error)
            return None
        evaluation = dataclasses.replace(
            made.trial.evaluation, seconds=base.trial.evaluation.seconds / gain
        )
        trial = dataclasses.replace(made.trial, evaluation=evaluation)
        self.tried.append(trial)
        return TimedCandidate(trial, made.model, gain)

    def take(self, candidate: TimedCandidate[RecipeT, ModelT]) -> None:
        """Make a candidate the best one."""
        self._best = candidate

    def _make(self, recipe: RecipeT) -> Candidate[RecipeT, ModelT] | None:
        """Make and evaluate a model; None if it cannot run."""
        if self.tried:
            self.require_time()
        try:
            model = self._candidates.make(recipe)
            evaluation = self._candidates.evaluate(model)
        except CannotRunError as error:
            self.cannot_run[recipe] = str(error)
            return None
        within = evaluation.within_budget(self._max_drop, self.reference)
        return Candidate(Trial(recipe, evaluation, within), model)
