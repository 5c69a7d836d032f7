"""One timed turn of a row, in a process that has loaded its file."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from src.benchmark.environment.interference import Observation
from src.benchmark.options import BenchmarkOptions
from src.run.latency import Turn
from src.worker import protocol
from src.worker.errors import WorkerError
from src.worker.process import WorkerProcess

WARM = 0.02  # share within which two windows of the warm-up must agree
# A GPU's energy counter is updated about ten times a second, and a turn is about as short as one
# update. So energy is measured over a longer time.
ENERGY_SECONDS = 0.3
MOST_ENERGY_SECONDS = 3.0
# A call by the host's clock contains the device's work, so it cannot be much shorter than that. The
# host's upper quartile must be at least this share of the device's lower quartile. At batch 1 both
# are the time to launch kernels, which differs by half between calls on a busy host.
LEAST_HOST_SHARE = 0.5


def warm_up(worker: WorkerProcess, images: NDArray[np.float32], options: BenchmarkOptions) -> bool:
    """Send the batch (N, 3, H, W) and call until the speed is steady or the time is up.

    Returns:
        True if the speed became steady.

    Raises:
        WorkerError: a call fails.
    """
    worker.ask(protocol.Hold(), images)
    warmed = worker.ask(protocol.WarmUp(tolerance=WARM, max_seconds=options.warmup_seconds))
    worker.rest()
    return warmed.warm


def joules_per_image(worker: WorkerProcess, size: int) -> float | None:
    """Return the GPU's joules per image of the batch of ``size``; None without an energy counter.

    Raises:
        WorkerError: a call fails.
    """
    spent = worker.ask(
        protocol.Energy(least_seconds=ENERGY_SECONDS, max_seconds=MOST_ENERGY_SECONDS)
    )
    worker.rest()
    return None if spent.joules is None else spent.joules / spent.calls / size


def time_batch(worker: WorkerProcess, options: BenchmarkOptions, process: int) -> tuple[Turn, bool]:
    """Time one turn of the batch that the worker holds.

    Args:
        worker: process that holds the batch.
        options: gives the length of a turn.
        process: number of the worker among the row's processes.

    Returns:
        The turn, and True if the worker used no CPU after it.

    Raises:
        WorkerError: a call fails, or the host's times cannot be right.
    """
    before, cpu_before = Observation.now(), time.process_time()
    request = protocol.Time(samples=options.samples, max_seconds=options.turn_seconds)
    timed = worker.ask(request)
    after, parent_seconds = Observation.now(), time.process_time() - cpu_before
    is_idle = worker.rest()
    timing = timed.timing
    problem = host_clock_error(timing.seconds, timing.device_seconds)
    if problem:
        raise WorkerError(problem)
    own_seconds = parent_seconds + timed.request_cpu_seconds
    turn = Turn(
        seconds=timing.seconds,
        elapsed_seconds=timing.elapsed_seconds,
        cpu_seconds=timing.cpu_seconds,
        device_seconds=timing.device_seconds,
        energy_joules=timing.energy_joules,
        disturbance=(
            before.until(after, own_seconds, options.effective_threads)
            if before and after
            else None
        ),
        process=process,
    )
    return turn, is_idle


def host_clock_error(
    seconds: Sequence[float], device_seconds: Sequence[float] | None
) -> str | None:
    """Describe why the host's times cannot be right; return None if they can.

    They are wrong if the device took longer by its own clock, which excludes the copies.
    """
    if not device_seconds:
        return None
    host = float(np.quantile(seconds, 0.75))
    device = float(np.quantile(device_seconds, 0.25))
    if host >= LEAST_HOST_SHARE * device:
        return None
    return (
        f"calls take {host:.3g} s by the host's clock and {device:.3g} s by the device's: the "
        "runtime does not wait for the device, so its times would be of launches alone"
    )
