"""Measure the exported files of all networks on the device: the product's own measurement.

The files of all networks are loaded and scored at the same time, where the GPU's memory allows it;
then they are timed one network after another. Writes ``benchmark.json`` of each network.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import torch

from gpu import arguments
from src.benchmark.options import BenchmarkOptions
from src.benchmark.suite import measure
from src.data.restore import data_of
from src.run import folder
from src.run.layout import as_dict
from src.system import machine

BYTES_A_NETWORK = 14_000_000_000  # of a GPU's memory, with all rows loaded


class Turns:
    """Lets measurements begin to time when all have loaded, and one after another."""

    def __init__(self, count: int) -> None:
        self._ready = threading.Barrier(count)
        self._one = threading.Lock()

    def give_up(self) -> None:
        """One of them has failed: the others need not wait for it."""
        self._ready.abort()

    def __enter__(self) -> Self:
        try:
            self._ready.wait()
        except threading.BrokenBarrierError:
            say("not all networks got as far as their timing")
        self._one.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._one.release()


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def main() -> None:
    parser = arguments.parser(__doc__)
    parser.add_argument("--seconds", type=float, required=True, help="of timing, a network")
    parser.add_argument("--batch-sizes", type=int, nargs="+", required=True)
    chosen = parser.parse_args()
    found: dict[str, Any] = {}
    there = {
        model: folder.newest(chosen.runs, model, having="exports/manifest.json")
        for model in chosen.models
    }
    options = BenchmarkOptions(
        devices=[chosen.device],
        batch_sizes=chosen.batch_sizes,
        max_seconds=chosen.seconds,
        # To start a dozen processes of torch again would take longer than to time them. The table
        # says that there is one.
        processes=1,
        rounds=100,
        samples=50,
        turn_seconds=0.05,
        warmup_seconds=1,
        loads_at_once=machine.usable_cores(),
        pipeline=False,  # decoding on the CPU is no part of these tables
        memory=False,  # a process and a load for each network, row and batch size: minutes
        again=True,
    )
    ready = {model: (run, data_of(run)) for model, run in there.items() if run is not None}
    at_once = 1 if chosen.device == "cpu" else max(1, len(ready) if roomy(len(ready)) else 1)
    turns = Turns(at_once)

    def measured(model: str) -> None:
        run, data = ready[model]
        last = [""]

        def report(stage: str, what: str = "", done: int = 0, total: int = 0) -> None:
            if stage != last[0]:
                last[0] = stage
                say(f"{model}: {stage}")

        try:
            found[model] = as_dict(measure(run, data, options, report, turns))
        except BaseException:
            turns.give_up()
            raise
        say(f"{model}: done")
        arguments.keep(chosen.out, dict(found))

    with ThreadPoolExecutor(at_once) as pool:
        problems = [pool.submit(measured, model).exception for model in ready]
    failed = [problem for each in problems if (problem := each()) is not None]
    for problem in failed:
        traceback.print_exception(problem)
    missing = sorted(set(chosen.models) - set(found))
    if missing:
        sys.exit(f"not measured: {', '.join(missing)}")


def roomy(count: int) -> bool:
    """Whether the GPU holds the files of ``count`` networks at once."""
    free, _ = torch.cuda.mem_get_info()
    return free > count * BYTES_A_NETWORK


if __name__ == "__main__":
    main()
