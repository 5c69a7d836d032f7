"""One turn of a row at being timed, in a process that has its file."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from src.benchmark.environment.interference import Observation
from src.benchmark.options import BenchmarkOptions
from src.run.latency import Turn
from src.worker import protocol
from src.worker.process import WorkerError, WorkerProcess

WARM = 0.02  # two windows of the warm-up agree within this share
# A GPU's energy counter moves some ten times a second, and a turn is as short as one of its steps.
ENERGY_SECONDS = 0.3
MOST_ENERGY_SECONDS = 3.0
# A slow host call (upper quartile) that is below this share of a fast call by the device's clock
# (lower quartile) cannot hold it. At batch 1 both are the time of launching kernels, which differs
# by half between calls on a busy host.
LEAST_HOST_SHARE = 0.5


def warm_up(worker: WorkerProcess, images: NDArray[np.float32], options: BenchmarkOptions) -> bool:
    """Hand over the batch (N, 3, H, W) and call until the speed is steady, if it comes to be.

    Raises:
        WorkerError: a call fails.
    """
    worker.ask(protocol.Hold(), images)
    return worker.ask(protocol.WarmUp(tolerance=WARM, max_seconds=options.warmup_seconds)).warm


def joules_of_an_image(worker: WorkerProcess, size: int) -> float | None:
    """Return the joules of the GPU for each image of a batch; None where it has no counter.

    Raises:
        WorkerError: a call fails.
    """
    spent = worker.ask(
        protocol.Energy(least_seconds=ENERGY_SECONDS, max_seconds=MOST_ENERGY_SECONDS)
    )
    return None if spent.joules is None else spent.joules / spent.calls / size


def take(worker: WorkerProcess, options: BenchmarkOptions, process: int) -> tuple[Turn, bool]:
    """Time the batch that is held.

    Args:
        worker: holds it.
        options: how long a turn is.
        process: the worker's number among the row's.

    Returns:
        The turn, and True if the worker used no CPU after it.

    Raises:
        WorkerError: a call fails, or the host's clock cannot be right.
    """
    before, own = Observation.now(), time.process_time()
    request = protocol.Time(samples=options.samples, max_seconds=options.turn_seconds)
    timed = worker.ask(request)
    after, own = Observation.now(), time.process_time() - own
    timing = timed.timing
    problem = faster_than_its_device(timing.seconds, timing.device_seconds)
    if problem:
        raise WorkerError(problem)
    own += timed.request_cpu_seconds
    turn = Turn(
        seconds=timing.seconds,
        elapsed_seconds=timing.elapsed_seconds,
        cpu_seconds=timing.cpu_seconds,
        device_seconds=timing.device_seconds,
        energy_joules=timing.energy_joules,
        disturbance=before.until(after, own) if before and after else None,
        process=process,
    )
    return turn, timed.settled


def faster_than_its_device(
    seconds: Sequence[float], device_seconds: Sequence[float] | None
) -> str | None:
    """Return why the host's clock cannot be right; None if it can.

    The device took longer by its own clock, which leaves out the copies.
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
