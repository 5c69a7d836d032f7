"""Warm-up: a speed that is steady, and pipelines from image files to labels that are warmed up.

The worker processes of a report (``src/worker``) and those of an exam share these rules.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

WINDOW_SECONDS = 0.05  # of a window of pipelines, at most
# Windows that tell a direction. Noise alone makes each of six faster than the one before with a
# probability of at most 1/720, however large it is.
LEAST_WINDOWS = 6


def is_steady(medians: Sequence[float], tolerance: float) -> bool:
    """Return whether the speed has no direction any more.

    That is so if the last two windows agree, or if the one before the last is the slowest or the
    fastest of the last three. On a machine whose speed varies by more than ``tolerance`` from
    window to window, two of them seldom agree, however long it takes.

    Args:
        medians: seconds of a call, of two windows or more, in order.
        tolerance: share by which two windows may differ.
    """
    before, now = medians[-2:]
    if abs(now - before) <= tolerance * before:
        return True
    last = medians[-3:]
    return len(last) > 2 and before in {min(last), max(last)}  # noqa: PLR2004


def is_cold(medians: Sequence[float], tolerance: float) -> bool:
    """Return whether calls still become faster, for windows that never were steady.

    Few windows tell nothing, and calls that become slower are no matter of a warm-up.

    Args:
        medians: seconds of a call, of each window, in order.
        tolerance: share by which two windows may differ.
    """
    if len(medians) < LEAST_WINDOWS:
        return False
    before, now = medians[-2:]
    return now < before * (1 - tolerance)


def of_files(
    once: Callable[[bytes], float],
    contents: Sequence[bytes],
    tolerance: float,
    max_seconds: float,
    clock: Callable[[], float],
) -> bool:
    """Classify image files until the speed is steady or the time is up.

    Each file is classified once, as they differ in size. Then windows of calls of the first file
    are compared: only calls of one file are comparable. They are as short as several of them need
    to be. Nothing starts after the limit, so slow files have few windows, or not even a whole pass.

    Args:
        once: classifies the content of a file, and returns the seconds that it took.
        contents: the files, at least one.
        tolerance: share by which two windows may differ.
        max_seconds: the limit.
        clock: seconds.

    Returns:
        False if calls still become faster: see :func:`is_cold`.
    """
    end = clock() + max_seconds
    for content in contents:
        once(content)
        if clock() >= end:
            return True
    window_seconds = min(WINDOW_SECONDS, (end - clock()) / (LEAST_WINDOWS + 2))
    medians: list[float] = []
    while clock() < end:
        window_end = min(clock() + window_seconds, end)
        calls = [once(contents[0])]
        while clock() < window_end:
            calls.append(once(contents[0]))
        medians.append(statistics.median(calls))
        if len(medians) > 1 and is_steady(medians, tolerance):
            return True
    return not is_cold(medians, tolerance)
