"""Two questions of timing: what a clock without synchronisation shows, and cuDNN's benchmark mode.

``unsynchronised``: seconds a call of each network by a host clock around the call alone, as many
scripts take it, by a synchronised host clock, and by CUDA events, which hold the GPU's own time and
its gaps. ``cudnn_benchmark``: seconds a call with it off and on, in the order A B B A, by events.
Without a GPU the host clock takes the place of events.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from gpu import arguments
from src import models
from src.backends.torch.half_precision import narrowed
from src.models.network import NetworkSpec

CALLS = 30
BATCHES = (1, 64)


def main() -> None:
    chosen = arguments.parser(__doc__).parse_args()
    kinds = {
        kind.__module__.rpartition(".")[2]: kind
        for kind in (getattr(models, each) for each in models.__all__)
    }
    found: dict[str, Any] = {"calls": CALLS, "unsynchronised": {}, "cudnn_benchmark": {}}
    size, small = chosen.image_size, chosen.device == "cpu"
    torch.backends.cudnn.allow_tf32 = False
    networks = {
        name: NetworkSpec(kinds[name].builder, 10).build().eval().to(chosen.device)
        for name in chosen.models
    }
    batches = {
        count: torch.randn(count, 3, size, size, device=chosen.device)
        for count in ((1, 2) if small else BATCHES)
    }
    with torch.inference_mode():
        for name, network in networks.items():
            found["unsynchronised"][name] = {
                str(count): clocks(network, images) for count, images in batches.items()
            }
            arguments.keep(chosen.out, found)
        for name, network in networks.items():
            variants = {"fp32": network}
            if not small:
                variants["fp16"] = narrowed(network, "float16")
            found["cudnn_benchmark"][name] = {
                precision: {str(count): modes(each, images) for count, images in batches.items()}
                for precision, each in variants.items()
            }
            arguments.keep(chosen.out, found)


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def clocks(network: Callable[[Any], Any], images: Any) -> dict[str, float]:
    """The median seconds of a call by each clock; each call of its own, the GPU idle before."""
    for _ in range(5):
        network(images)
    synchronize()
    without = []
    for _ in range(CALLS):
        started = time.perf_counter()
        network(images)
        without.append(time.perf_counter() - started)
        # Between the calls, so that this clock shows the launches and not a full queue.
        synchronize()
    with_wait = []
    for _ in range(CALLS):
        started = time.perf_counter()
        network(images)
        synchronize()
        with_wait.append(time.perf_counter() - started)
    return {
        "unsynchronised": statistics.median(without),
        "synchronised": statistics.median(with_wait),
        "events": statistics.median(by_events(network, images)),
    }


def by_events(network: Callable[[Any], Any], images: Any) -> list[float]:
    """Seconds of each call by the device's clock."""
    if not images.is_cuda:
        seconds = []
        for _ in range(CALLS):
            started = time.perf_counter()
            network(images)
            seconds.append(time.perf_counter() - started)
        return seconds
    pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(CALLS)]
    for start, end in pairs:
        start.record()
        network(images)
        end.record()
        end.synchronize()
    return [start.elapsed_time(end) / 1e3 for start, end in pairs]


def modes(network: Callable[[Any], Any], images: Any) -> dict[str, list[float]]:
    """Median seconds of a call with cuDNN's benchmark mode ``off`` and ``on``, two blocks each."""
    seconds: dict[str, list[float]] = {"off": [], "on": []}
    for mode in ("off", "on", "on", "off"):
        torch.backends.cudnn.benchmark = mode == "on"
        for _ in range(5):
            network(images)
        synchronize()
        seconds[mode].append(statistics.median(by_events(network, images)))
    torch.backends.cudnn.benchmark = False
    return seconds


if __name__ == "__main__":
    main()
