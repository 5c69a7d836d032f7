"""Weights of timed calls, so that every image file counts once. It needs numpy only.

A turn takes whole passes over its files until its time is up: many passes over small files, and one
over large ones. If each call counted once, the figures would be those of the small files. The
report and a bundle's exam both use these functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def weights_of(
    calls: Sequence[int], files: Sequence[Sequence[int]] | None
) -> tuple[list[Array], int]:
    """Return the weight of each call of each turn, and the number of independent samples.

    The weights of a file are 1 in total, with equal parts for each of its turns and for each pass
    of a turn. Repeated calls of a file tell nothing about other files, so the samples are the
    files.

    Args:
        calls: number of calls of each turn: whole passes over its files.
        files: of each turn, in the order of a pass; None where each call counts once.
    """
    if files is None:
        return [np.ones(count) for count in calls], sum(calls)
    turns_with = Counter(file for turn in files for file in turn)
    weights = []
    for count, turn in zip(calls, files, strict=True):
        passes = count // len(turn)
        weights.append(np.tile([1 / (passes * turns_with[file]) for file in turn], passes))
    return weights, len(turns_with)


def mean(samples: Array, weights: Array) -> float:
    """Return the weighted mean."""
    return float(np.average(samples, weights=weights))


def total(
    values: Sequence[float], seconds: Sequence[Sequence[float]], weights: Sequence[Array]
) -> float:
    """Return the weighted sum of a value that is known of whole turns only.

    A call's part of its turn's value is its part of the seconds of all calls of the turn.

    Args:
        values: one of each turn.
        seconds: of each call of each turn.
        weights: of each call of each turn.
    """
    return sum(
        value * float(np.average(weight, weights=np.asarray(calls)))
        for value, calls, weight in zip(values, seconds, weights, strict=True)
    )


def percentile(samples: Array, weights: Array, percent: float) -> float:
    """Return a percentile, by the linear interpolation of :func:`numpy.percentile`.

    A sample lies in the middle of its weight. Equal weights give numpy's value.
    """
    if weights.min() == weights.max():
        return float(np.percentile(samples, percent))
    order = np.argsort(samples, kind="stable")
    middles = np.cumsum(weights[order]) - weights[order] / 2
    shares = (middles - middles[0]) / (middles[-1] - middles[0])
    return float(np.interp(percent / 100, shares, samples[order]))
