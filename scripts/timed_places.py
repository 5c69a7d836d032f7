"""A loaded file that can be timed: in a web browser, or natively."""

from __future__ import annotations

import time
from typing import Protocol

import numpy as np
from browser_process import Browser
from numpy.typing import NDArray

from src.benchmark import turn
from src.benchmark.environment.interference import Observation
from src.benchmark.options import BenchmarkOptions
from src.run.latency import Turn
from src.worker.process import WorkerProcess

Images = NDArray[np.float32]  # (N, 3, H, W)
Logits = NDArray[np.float64]  # (N, K)


class Place(Protocol):
    """A loaded file that can be timed."""

    def warm_up(self, options: BenchmarkOptions) -> bool:
        """Call until the speed is steady; return True if it became so."""

    def time(self, options: BenchmarkOptions, process: int) -> Turn:
        """Time one turn."""

    def logits(self) -> Logits:
        """Return the logits of all images."""


class InBrowser:
    """A file in a process of Chromium."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    def warm_up(self, options: BenchmarkOptions) -> bool:
        """See :class:`Place`."""
        limits = {"tolerance": turn.WARM, "max_seconds": options.warmup_seconds}
        return self._browser.ask("warm_up", limits).warm

    def time(self, options: BenchmarkOptions, process: int) -> Turn:
        """See :class:`Place`."""
        before, used_before = Observation.now(), self._used()
        limits = {"samples": options.samples, "max_seconds": options.turn_seconds}
        result = self._browser.ask("time", limits)
        after, used = Observation.now(), self._used() - used_before
        return Turn(
            seconds=result.seconds,
            elapsed_seconds=result.elapsed_seconds,
            cpu_seconds=max(used, 0.0),
            disturbance=before.until(after, used) if before and after else None,
            process=process,
        )

    def logits(self) -> Logits:
        """See :class:`Place`."""
        return np.asarray(self._browser.ask("answer", {}).logits, np.float64)

    def _used(self) -> float:
        """Return the CPU seconds of the browser and of this process."""
        return self._browser.cpu_seconds() + time.process_time()


class Native:
    """A file in a worker process, as in a measurement."""

    def __init__(self, worker: WorkerProcess, images: Images) -> None:
        self._worker, self._images = worker, images

    def warm_up(self, options: BenchmarkOptions) -> bool:
        """See :class:`Place`."""
        return turn.warm_up(self._worker, self._images[:1], options)

    def time(self, options: BenchmarkOptions, process: int) -> Turn:
        """See :class:`Place`."""
        return turn.time_batch(self._worker, options, process)[0]

    def logits(self) -> Logits:
        """See :class:`Place`."""
        return np.asarray(self._worker.answer(self._images), np.float64)
