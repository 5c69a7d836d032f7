"""Measurement of the peak memory of a process."""

from __future__ import annotations

from collections.abc import Callable

LEAST_CALLS = 3  # TorchScript optimises in the second call and allocates memory for it
MOST_CALLS = 20
STEADY = 0.01  # largest increase of a steady peak, as a share of it


def peak_when_steady(call: Callable[[], object], read: Callable[[], int]) -> int:
    """Call until the peak no longer grows, and return it in bytes.

    The peak is steady after at least ``LEAST_CALLS`` calls if the last two raised it by ``STEADY``
    at most. After ``MOST_CALLS`` calls it is returned in any case.

    Args:
        call: runs an inference.
        read: returns the peak so far, in bytes.
    """
    peaks: list[int] = []
    while len(peaks) < MOST_CALLS:
        call()
        peaks.append(read())
        if len(peaks) >= LEAST_CALLS and peaks[-1] - peaks[-LEAST_CALLS] <= STEADY * abs(peaks[-1]):
            break
    return peaks[-1]
