"""The Pareto front: what nothing else beats at one thing without losing at the other."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which of the points are on the front, from the fastest on.

    By the figures as they were measured: two whose intervals overlap may change places.

    Args:
        points: a cost, the less the better, and a merit, the more the better, of each.

    Returns:
        Their indices. Of points that are the same in both, the first one.
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1]))
    found: list[int] = []
    for index in order:
        if not found or points[index][1] > points[found[-1]][1]:
            found.append(index)
    return found
