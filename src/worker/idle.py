"""Waiting until a worker process uses no CPU.

A thread pool may spin for a while after its last task. A worker answers only after this has ended,
so that it uses no CPU during the turns of other workers.
"""

from __future__ import annotations

from time import perf_counter, process_time, sleep

_CHECK_SECONDS = 0.005
_SHARE = 0.1  # of one core
_CEILING_SECONDS = 0.5


def wait_until_idle() -> bool:
    """Wait until this process uses no CPU; False if it still does at the ceiling."""
    end = perf_counter() + _CEILING_SECONDS
    while perf_counter() < end:
        wall, cpu = perf_counter(), process_time()
        sleep(_CHECK_SECONDS)
        if process_time() - cpu < _SHARE * (perf_counter() - wall):
            return True
    return False
