"""Pareto front of points with a cost and a merit."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points on the Pareto front, in ascending order of cost.

    A point is on the front unless another one is as good or better in both. The measured values
    are compared as they are: points whose intervals overlap could swap places in another
    measurement.

    Args:
        points: pairs of a cost (less is better) and a merit (more is better).

    Returns:
        Indices. Of equal points only the first one.
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1]))
    kept: list[int] = []
    for index in order:
        if not kept or points[index][1] > points[kept[-1]][1]:
            kept.append(index)
    return kept
