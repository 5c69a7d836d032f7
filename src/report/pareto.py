"""The Pareto front: the points that no other beats at one thing without losing at the other."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the points on the front, from the fastest on.

    By the figures as they were measured: two whose intervals overlap may change places.

    Args:
        points: a cost, the less the better, and a merit, the more the better, of each.

    Returns:
        Their indices. Of points that are the same in both, the first one.
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1]))
    kept: list[int] = []
    for index in order:
        if not kept or points[index][1] > points[kept[-1]][1]:
            kept.append(index)
    return kept
