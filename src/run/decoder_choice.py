"""The choice of a decoder among several that were timed beside the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence

from src.run.latency import Interval
from src.run.pipeline import Pipeline

ALPHA = 0.025  # one-sided, as the lower end of a 95 % interval


def faster(pipelines: Sequence[Pipeline]) -> list[Pipeline]:
    """Return the pipelines of decoders to ship instead of the reference, the best first.

    They were shown to keep the accuracy budget and to be measurably faster. The more decoders are
    timed, the likelier the interval of one of them is above 1 by chance. So the decoders of a row
    that keep the budget are tested together, by Holm's step-down procedure (Holm, 1979, "A simple
    sequentially rejective multiple test procedure"): the probability that any decoder is called
    faster and is not is at most :data:`ALPHA`. It holds for tests that depend on each other, as
    these do, because they have the reference in common.

    The decoders are in the order of :data:`src.run.pipeline.DECODERS`, which begins with those that
    need no package, if a later one's whole interval is not above the speed-up of an earlier one.
    """
    tested = [
        (figures, figures.over_reference)
        for figures in pipelines
        if figures.keeps_budget and figures.over_reference
    ]
    by_evidence = sorted((p_value(gain), place) for place, (_, gain) in enumerate(tested))
    shown = set()
    for step, (probability, place) in enumerate(by_evidence):
        if tested[place][1].low <= 1 or probability > ALPHA / (len(tested) - step):
            break
        shown.add(place)
    left = [entry for place, entry in enumerate(tested) if place in shown]
    ranked: list[Pipeline] = []
    while left:
        best = left[0]
        for other in left[1:]:
            if other[1].low > best[1].value:
                best = other
        ranked.append(best[0])
        left.remove(best)
    return ranked


def p_value(gain: Interval) -> float:
    """Return the one-sided probability of such a speed-up if the two are equally fast.

    The interval is Student's t interval of the logarithms, one observation a process. That of a
    single process is an assumption, which is taken for the interval of a normal distribution.
    """
    from scipy.special import ndtr, ndtri, stdtr, stdtrit

    reach = math.log(gain.high / gain.low) / 2
    value = math.log(gain.value)
    if reach == 0:
        return float(value <= 0)
    freedom = (gain.processes or 1) - 1
    if freedom:
        return float(stdtr(freedom, stdtrit(freedom, ALPHA) * value / reach))
    return float(ndtr(ndtri(ALPHA) * value / reach))
