"""Waiting until a worker process uses no CPU.

A thread pool may spin for a while after its last task. A worker answers only after this has ended,
so that it uses no CPU during the turns of other workers.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter, process_time, sleep

_CHECK_SECONDS = 0.005
_SHARE = 0.1  # of one core
_LOOKS = 2  # in a row: on a busy machine a thread that spins may not run during one
_CEILING_SECONDS = 0.5


def wait_until_idle(
    cpu_clock: Callable[[], float] = process_time, check_seconds: float = _CHECK_SECONDS
) -> bool:
    """Wait until a process uses no CPU; return False if it still does at the ceiling.

    Args:
        cpu_clock: returns its CPU time in seconds; by default that of this process.
        check_seconds: length of a look, ten times the resolution of the clock at least.
    """
    end, idle = perf_counter() + _CEILING_SECONDS, 0
    while perf_counter() < end:
        wall, cpu = perf_counter(), cpu_clock()
        sleep(check_seconds)
        used = cpu_clock() - cpu
        idle = idle + 1 if used < _SHARE * (perf_counter() - wall) else 0
        if idle == _LOOKS:
            return True
    return False
