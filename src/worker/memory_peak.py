"""When the peak of a process's memory is reached."""

from __future__ import annotations

from collections.abc import Callable

LEAST_CALLS = 3  # TorchScript optimises, and allocates for it, in its second
MOST_CALLS = 20
STEADY = 0.01  # a call raised the peak by no more than this share


def peak_when_steady(call: Callable[[], object], read: Callable[[], int]) -> int:
    """What ``read`` gives once calls no longer raise it.

    That is after ``LEAST_CALLS``, of which the last two raised it by ``STEADY`` at most, or after
    ``MOST_CALLS``.

    Args:
        call: an inference.
        read: the peak so far, in bytes.
    """
    peaks: list[int] = []
    while len(peaks) < MOST_CALLS:
        call()
        peaks.append(read())
        if len(peaks) >= LEAST_CALLS and peaks[-1] - peaks[-LEAST_CALLS] <= STEADY * abs(peaks[-1]):
            break
    return peaks[-1]
