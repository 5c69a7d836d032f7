"""Curves of memory over time, with as many points as a chart can show."""

from __future__ import annotations

from collections.abc import Sequence

PARTS = 300  # of a curve that is thinned; one with less than twice as many points stays as it is

Point = tuple[float, float]  # seconds, bytes


def thinned(curve: Sequence[Point]) -> list[Point]:
    """Return the highest point of each of about PARTS equal parts, which keeps the peaks."""
    length = max(1, len(curve) // PARTS)
    return [
        max(curve[start : start + length], key=lambda point: point[1])
        for start in range(0, len(curve), length)
    ]
