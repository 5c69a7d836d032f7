"""The search for a recipe that keeps the accuracy budget, as pure logic: it knows no ONNX.

Recipes are tried like the rungs of a ladder, the cheapest first, until one holds:

1. calibration by the extremes; no other calibration runs faster, so if it holds, that is all;
2. calibrations that clip, which cost nothing at run time either;
3. the best of them with corrected biases, then equalised as well: still free at run time;
4. the nodes that quantization hurts the most in float, 1, 2, 4, ... of them; when that holds,
   as few as hold, by bisection. These cost time, each of them.

What holds is then made faster, each step taken if it holds as well and is the faster one of the two
side by side:

5. GELU by a sigmoid, an approximation, where there is a GELU;
6. the network's beginning in float, where int8 gains little: on large maps of few channels there is
   much to move and little to multiply, so float can be the faster one there;
7. the convolutions that gain by it through the runtime's general int8 product.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, get_args

from src.quantization.recipe import Calibration, Recipe
from src.quantization.trials import Judgement, Ladder, Model, OutOfTimeError, Rung

CLIPPING: tuple[Calibration, ...] = get_args(Calibration)[1:]
_MUCH = 1.5  # times as fast as float: there is nothing to look for in float then
_LEAST = 1.02  # times as fast that a beginning in float has to be, for it makes the file larger


@dataclass(frozen=True)
class Found(Generic[Model]):
    """All that was tried, and the one to ship."""

    rungs: list[Rung]
    winner: Rung
    model: Model  # the winner's
    out_of_time: bool  # there was more to try


@dataclass(frozen=True)
class Faster(Generic[Model]):
    """What may make a recipe that holds faster.

    Args:
        speedup: how many times faster the first of two files is, timed in turn.
        has_gelu: whether there is a GELU to approximate.
        generally: the convolutions of a file that gain by the general product.
        cuts: the nodes behind which float may end and int8 begin, in the network's order.
    """

    speedup: Callable[[Model, Model], float]
    has_gelu: bool = False
    generally: Callable[[Model], Sequence[str]] | None = None
    cuts: Sequence[str] = ()


def search(
    build: Callable[[Recipe], Model],
    judge: Callable[[Model], Judgement],
    rank: Callable[[Recipe], Sequence[str]],
    *,
    reference: Judgement,
    max_drop: float,
    seconds: float,
    equalisable: bool = True,
    faster: Faster[Model] | None = None,
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
        reference: what the fp32 file does with the judging images.
        max_drop: the budget, a share of 1.
        seconds: after which nothing further is begun; the first recipe is tried in any case.
        equalisable: whether there is anything to equalise.
        faster: what may make a recipe that holds faster.
        clock: seconds that pass.
    """
    ladder = Ladder(build, judge, reference, max_drop, seconds, clock)
    out_of_time = False
    try:
        _climb(ladder, rank, equalisable)
        if faster is not None and ladder.best[0].holds:
            _hasten(ladder, faster)
    except OutOfTimeError:
        out_of_time = True
    winner, model = ladder.best
    return Found(ladder.rungs, winner, model, out_of_time)


def _climb(
    ladder: Ladder[Model], rank: Callable[[Recipe], Sequence[str]], equalisable: bool
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


def _hasten(ladder: Ladder[Model], faster: Faster[Model]) -> None:
    """Make the recipe that holds faster, step by step."""
    if faster.has_gelu:
        _step(ladder, faster, sigmoid_gelu=True)
    _begin_in_float(ladder, faster)
    if faster.generally is not None:  # last, for it is of what is left in int8
        names = tuple(faster.generally(ladder.best[1]))
        if names:
            _step(ladder, faster, multiplied_generally=names)


def _step(ladder: Ladder[Model], faster: Faster[Model], **change: Any) -> None:
    """Try the best recipe with a change."""
    best, unchanged = ladder.best
    rung, model = ladder.try_(dataclasses.replace(best.recipe, **change))
    if rung.holds and faster.speedup(model, unchanged) > 1:
        ladder.ship(rung, model)


def _begin_in_float(ladder: Ladder[Model], faster: Faster[Model]) -> None:
    """Try the best recipe with ever more of the network's beginning in float.

    By strides that halve, from no beginning: a quarter of the cuts further, and on while that is
    faster; then half that stride to either side of the best. The speed is taken to have one peak,
    as early maps are the largest.
    """
    best, all_int8 = ladder.best
    if ladder.reference.seconds >= _MUCH * best.judgement.seconds:
        return
    speeds: dict[int, float] = {0: _LEAST}  # by how many cuts from the start; 0 is no beginning

    def improves(at: int, on: int) -> bool:
        if at in speeds or not 0 < at <= len(faster.cuts):
            return False
        recipe = dataclasses.replace(best.recipe, float_up_to=faster.cuts[at - 1])
        rung, model = ladder.try_(recipe)
        speeds[at] = faster.speedup(model, all_int8) if rung.holds else 0.0
        if speeds[at] <= speeds[on]:
            return False
        ladder.ship(rung, model)
        return True

    position, stride = 0, max(1, len(faster.cuts) // 4)
    while stride:
        further = next(
            (at for at in (position + stride, position - stride) if improves(at, position)), None
        )
        if further is None:
            stride //= 2
        else:
            position = further
