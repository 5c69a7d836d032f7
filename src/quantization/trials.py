"""The recipes that were tried, and the best of them so far, as pure logic: it knows no ONNX."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from src.quantization.recipe import Recipe

Model = TypeVar("Model")
_TIMING = 0.1  # the share of a latency that its timing may be wrong by


@dataclass(frozen=True)
class Judgement:
    """What a file does with the judging images."""

    accuracy: float  # by their labels, a share of 1
    agreement: float  # the share of images with the fp32 file's top-1
    seconds: float  # of one call with one image, roughly


def holds(judgement: Judgement, accuracy: float, max_drop: float) -> bool:
    """Whether a file keeps the budget: by its answers, and by their accuracy.

    Args:
        judgement: the file's.
        accuracy: the fp32 file's.
        max_drop: the budget, a share of 1.
    """
    worst = max_drop + 1e-9  # shares of a few hundred images are not exact in binary
    return 1 - judgement.agreement <= worst and accuracy - judgement.accuracy <= worst


@dataclass(frozen=True)
class Rung:
    """A recipe that was tried, and whether it keeps the budget."""

    recipe: Recipe
    judgement: Judgement
    holds: bool

    def beats(self, other: Rung) -> bool:
        """Whether this is the one to ship of the two.

        One that holds; of two that hold the faster one, or where the rough timing can't tell
        the one with less in float; of two that don't hold the closer one.
        """
        if self.holds != other.holds:
            return self.holds
        ours, theirs = self.judgement, other.judgement
        if self.holds:
            if min(ours.seconds, theirs.seconds) < (1 - _TIMING) * max(
                ours.seconds, theirs.seconds
            ):
                return ours.seconds < theirs.seconds
            return len(self.recipe.kept_in_float) < len(other.recipe.kept_in_float)
        return (ours.agreement, ours.accuracy) > (theirs.agreement, theirs.accuracy)


class OutOfTimeError(Exception):
    """Nothing further may be begun."""


class Ladder(Generic[Model]):
    """The rungs so far, and the model of the best of them: the others' are not kept.

    Args:
        build: makes the file of a recipe.
        judge: looks at what it answers.
        reference: what the fp32 file does with the same images.
        max_drop: the budget, a share of 1.
        seconds: after which nothing further is begun; the first recipe is tried in any case.
        clock: seconds that pass.
    """

    def __init__(
        self,
        build: Callable[[Recipe], Model],
        judge: Callable[[Model], Judgement],
        reference: Judgement,
        max_drop: float,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rungs: list[Rung] = []
        self.reference = reference
        self._best: tuple[Rung, Model] | None = None
        self._build, self._judge = build, judge
        self._max_drop = max_drop
        self._clock = clock
        self._deadline = clock() + seconds

    @property
    def best(self) -> tuple[Rung, Model]:
        """The one to ship, so far."""
        if self._best is None:
            raise LookupError("nothing was tried yet")
        return self._best

    def require_time(self) -> None:
        """Raises OutOfTimeError if there is none left."""
        if self._clock() >= self._deadline:
            raise OutOfTimeError

    def holds(self, recipe: Recipe) -> bool:
        """Try a recipe, and keep it if it beats the best; whether it holds."""
        rung, model = self.try_(recipe)
        if self._best is None or rung.beats(self._best[0]):
            self.ship(rung, model)
        return rung.holds

    def try_(self, recipe: Recipe) -> tuple[Rung, Model]:
        """Try a recipe, without more."""
        if self.rungs:
            self.require_time()
        model = self._build(recipe)
        judgement = self._judge(model)
        kept = holds(judgement, self.reference.accuracy, self._max_drop)
        rung = Rung(recipe, judgement, kept)
        self.rungs.append(rung)
        return rung, model

    def ship(self, rung: Rung, model: Model) -> None:
        """Take one for the best."""
        self._best = rung, model
