"""Timing a runtime in another program, which calls by its own clock."""

from __future__ import annotations

import time

from src.backends.self_timed import SelfTimed
from src.errors import LightshipError
from src.run.file_input import Batch
from src.worker import protocol
from src.worker.idle import wait_until_idle
from src.worker.stopwatch import Stopwatch

# The system counts the CPU time of another process in hundredths of a second.
_CHECK_SECONDS = 0.12


def other_settled(runtime: SelfTimed) -> bool:
    """Wait until the other program uses no CPU; return False if it still does at a ceiling."""
    return wait_until_idle(runtime.cpu_seconds, _CHECK_SECONDS)


class SelfTimedStopwatch(Stopwatch):
    """A stopwatch that asks the other program for whole turns.

    Args:
        runtime: what is called, there.
        images: (N, ...), as the file takes them.
    """

    def __init__(self, runtime: SelfTimed, images: Batch) -> None:
        super().__init__(runtime, images)
        self._other = runtime
        runtime.hold(images)

    def cpu_seconds(self) -> float:
        return time.process_time() + self._other.cpu_seconds()

    def peak_bytes(self) -> int:
        peak = self._other.peak_bytes()
        if peak is None:
            raise LightshipError("this system does not tell the memory of another process")
        return peak

    def once(self) -> float:
        seconds, self.answer = self._other.once()
        return seconds

    def warm_up(self, tolerance: float, max_seconds: float) -> protocol.WarmedUp:
        started = time.perf_counter()
        warm = self._other.warm_up(tolerance, max_seconds)
        self.once()  # for its answer, which is checked
        return protocol.WarmedUp(warm=warm, seconds=time.perf_counter() - started)

    def time(self, samples: int, max_seconds: float) -> protocol.Timing:
        turn, self.answer = self._other.time(samples, max_seconds)
        return protocol.Timing(
            seconds=turn.seconds,
            elapsed_seconds=turn.elapsed_seconds,
            cpu_seconds=turn.cpu_seconds,
            energy_joules=None,
            device_seconds=None,
        )
