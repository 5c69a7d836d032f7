"""Timing one runtime on one batch, within its own process."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable

from src.backends.base import Runtime
from src.run.file_input import Batch
from src.shipped.warm_up import is_steady
from src.system import machine
from src.worker import protocol
from src.worker.energy import EnergyMeter

WINDOW_CALLS = 3  # of a warm-up window, at least
WINDOW_SECONDS = 0.05
TURN_WARMUP_SECONDS = 0.02  # caches were another worker's in the meantime


class Stopwatch:
    """Times calls on one batch, host clock, synchronised before and after each.

    Args:
        runtime: what is called.
        images: (N, 3, H, W).
        clock: seconds; replaced in tests.
        cpu_clock: seconds of processor time of this process, over all its threads.
        energy: the counters of where it runs, if there are any.
    """

    def __init__(
        self,
        runtime: Runtime,
        images: Batch,
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.process_time,
        energy: EnergyMeter | None = None,
    ) -> None:
        self._runtime = runtime
        self._images = images
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._energy = energy
        self.answer: object = None  # of the latest call, to be looked at when nothing is timed

    def cpu_seconds(self) -> float:
        """Return the processor time of all that works for a call, so far."""
        return self._cpu_clock()

    def peak_bytes(self) -> int:
        """Return the peak resident memory of this process."""
        return machine.peak_rss_bytes()

    def once(self) -> float:
        """Seconds of one call: images in the host's memory to logits there."""
        runtime, images, clock = self._runtime, self._images, self._clock
        runtime.synchronize()
        started = clock()
        self.answer = runtime(images)
        runtime.synchronize()
        return clock() - started

    def warm_up(self, tolerance: float, max_seconds: float) -> protocol.WarmedUp:
        """Call until the medians of windows are steady: see :func:`is_steady`.

        A window is ``WINDOW_CALLS`` calls and ``WINDOW_SECONDS``, whichever takes longer.
        """
        started = self._clock()
        medians = [self._window()]
        while self._clock() - started < max_seconds:
            medians.append(self._window())
            if is_steady(medians, tolerance):
                return protocol.WarmedUp(warm=True, seconds=self._clock() - started)
        return protocol.WarmedUp(warm=False, seconds=self._clock() - started)

    def time(self, samples: int, max_seconds: float) -> protocol.Timing:
        """Time one turn: at most ``samples`` calls, none started after ``max_seconds``.

        Garbage collection is off meanwhile, as in :mod:`timeit`.
        """
        end = self._clock() + TURN_WARMUP_SECONDS
        self.once()
        while self._clock() < end:
            self.once()
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            joules = self._energy.read() if self._energy else None
            busy, started = self._cpu_clock(), self._clock()
            seconds = [self.once()]
            while len(seconds) < samples and self._clock() - started < max_seconds:
                seconds.append(self.once())
            elapsed, busy = self._clock() - started, self._cpu_clock() - busy
            used = self._energy.since(joules) if self._energy else None
            device = [self._runtime.device_seconds(self._images) for _ in seconds]
        finally:
            if was_enabled:
                gc.enable()
        return protocol.Timing(
            seconds=seconds,
            elapsed_seconds=elapsed,
            cpu_seconds=busy,
            energy_joules=used,
            device_seconds=_all_known(device),
        )

    def energy(self, least_seconds: float, max_seconds: float) -> protocol.Spent:
        """Call for long enough that a slow counter tells the energy of a call.

        A GPU's counter moves in steps, many times a second at best, so the calls are counted from
        one of its steps to another one, at least ``least_seconds`` later.
        """
        if self._energy is None or (before := self._energy.read()) is None:
            return protocol.Spent(joules=None, calls=0)
        ends = self._clock() + max_seconds
        edges: list[tuple[list[int], float, int]] = []  # the counter, when, and calls until then
        calls, seen = 0, before
        while self._clock() < ends:
            self.once()
            calls += 1
            now = self._energy.read()
            if now is None or now == seen:
                continue
            seen = now
            edges.append((now, self._clock(), calls))
            if edges[-1][1] - edges[0][1] >= least_seconds:
                first = edges[0]
                joules = self._energy.since(first[0])
                return protocol.Spent(joules=joules, calls=calls - first[2])
        return protocol.Spent(joules=None, calls=calls)

    def _window(self) -> float:
        end = self._clock() + WINDOW_SECONDS
        seconds = [self.once() for _ in range(WINDOW_CALLS)]
        while self._clock() < end:
            seconds.append(self.once())
        return statistics.median(seconds)


def _all_known(values: list[float | None]) -> list[float] | None:
    """Return the values, or None where one of them is not known."""
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else None
