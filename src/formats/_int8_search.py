"""The search for a recipe that keeps the accuracy budget, as pure logic: it knows no ONNX.

Recipes are tried like the rungs of a ladder, the cheapest first, until one holds:

1. calibration by the extremes; no other calibration runs faster, so if it holds, that is all;
2. calibrations that clip, which cost nothing at run time either;
3. the best of them with corrected biases, then equalised as well: still free at run time;
4. the nodes that quantization hurts the most in float, 1, 2, 4, ... of them; when that holds,
   as few as hold, by bisection. These cost time, each of them.

What holds is tried once more with GELU by a sigmoid, where there is one: an approximation, taken if
it holds as well and is the faster one of the two side by side.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, get_args

from src.formats._int8_recipe import Calibration, Recipe

Model = TypeVar("Model")
_TIMING = 0.1  # the share of a latency that its timing may be wrong by
CLIPPING: tuple[Calibration, ...] = get_args(Calibration)[1:]


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


@dataclass(frozen=True)
class Found(Generic[Model]):
    """All that was tried, and the one to ship."""

    rungs: list[Rung]
    winner: Rung
    model: Model  # the winner's
    out_of_time: bool  # there was more to try


class _OutOfTimeError(Exception):
    pass


def search(
    build: Callable[[Recipe], Model],
    judge: Callable[[Model], Judgement],
    rank: Callable[[Recipe], Sequence[str]],
    *,
    accuracy: float,
    max_drop: float,
    seconds: float,
    equalisable: bool = True,
    faster: Callable[[Model, Model], bool] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Found[Model]:
    """Climb until a recipe holds, or the time is up.

    A recipe holds when the share of judging images that get another top-1 than from the fp32
    file is at most ``max_drop``, and the accuracy by labels falls by no more. The first is the
    stricter one, for accuracy cannot fall by more than the share of answers that change; and
    the network has trained on these images, so its accuracy on them flatters.

    Args:
        build: makes the file of a recipe.
        judge: looks at what it answers.
        rank: the nodes that a recipe quantizes, the most hurt first.
        accuracy: the fp32 file's on the judging images, a share of 1.
        max_drop: the budget, a share of 1.
        seconds: after which nothing further is begun; the first recipe is tried in any case.
        equalisable: whether there is anything to equalise.
        faster: whether the first of two files is, timed in turn; None where there is no GELU to
            approximate.
        clock: seconds that pass.
    """
    ladder = _Ladder(build, judge, accuracy, max_drop, seconds, clock)
    out_of_time = False
    try:
        _climb(ladder, rank, equalisable)
        if faster is not None:
            ladder.approximate(faster)
    except _OutOfTimeError:
        out_of_time = True
    winner, model = ladder.best
    return Found(ladder.rungs, winner, model, out_of_time)


class _Ladder(Generic[Model]):
    """The rungs so far, and the model of the best of them: the others' are not kept."""

    def __init__(
        self,
        build: Callable[[Recipe], Model],
        judge: Callable[[Model], Judgement],
        accuracy: float,
        max_drop: float,
        seconds: float,
        clock: Callable[[], float],
    ) -> None:
        self.rungs: list[Rung] = []
        self._best: tuple[Rung, Model] | None = None
        self._build, self._judge = build, judge
        self._accuracy, self._max_drop = accuracy, max_drop
        self._clock = clock
        self._deadline = clock() + seconds

    @property
    def best(self) -> tuple[Rung, Model]:
        if self._best is None:
            raise LookupError("nothing was tried yet")
        return self._best

    def require_time(self) -> None:
        if self._clock() >= self._deadline:
            raise _OutOfTimeError

    def holds(self, recipe: Recipe) -> bool:
        """Try a recipe."""
        rung, model = self._try(recipe)
        if self._best is None or rung.beats(self._best[0]):
            self._best = rung, model
        return rung.holds

    def approximate(self, faster: Callable[[Model, Model], bool]) -> None:
        """Try the best recipe with GELU by a sigmoid, if it holds."""
        best, exact = self.best
        if not best.holds:
            return
        rung, model = self._try(dataclasses.replace(best.recipe, sigmoid_gelu=True))
        if rung.holds and faster(model, exact):
            self._best = rung, model

    def _try(self, recipe: Recipe) -> tuple[Rung, Model]:
        if self.rungs:
            self.require_time()
        model = self._build(recipe)
        judgement = self._judge(model)
        rung = Rung(recipe, judgement, holds(judgement, self._accuracy, self._max_drop))
        self.rungs.append(rung)
        return rung, model


def _climb(
    ladder: _Ladder[Model], rank: Callable[[Recipe], Sequence[str]], equalisable: bool
) -> None:
    for calibration in ("minmax", *CLIPPING):
        if ladder.holds(Recipe(calibration)):
            return
    corrected = dataclasses.replace(ladder.best[0].recipe, bias_corrected=True)
    if ladder.holds(corrected):
        return
    if equalisable and ladder.holds(dataclasses.replace(corrected, equalised=True)):
        return
    base = ladder.best[0].recipe  # none holds yet: the closest one
    ladder.require_time()
    nodes = tuple(rank(base))

    def holds(count: int) -> bool:
        return ladder.holds(dataclasses.replace(base, kept_in_float=nodes[:count]))

    too_few, enough = 0, 1
    while enough < len(nodes):  # with all of them in float it would be no int8 file
        if holds(enough):
            break
        too_few, enough = enough, 2 * enough
    else:
        return
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if holds(middle):
            enough = middle
        else:
            too_few = middle
