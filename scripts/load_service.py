#!/usr/bin/env python3
"""Drive the HTTP service of a bundle at a rate, with hostile requests among the good ones.

scripts/load_service.py model --rate 50 --minutes 2 [--hostile 0.01] [--seed 0]

It starts examples/http_service for the unpacked bundle ``model`` on the loopback interface, and
ends it with SIGTERM. Good requests are the bundle's test image, at the times of a Poisson process,
whether earlier ones are answered or not; a latency counts from the scheduled time. A share of the
requests is hostile: decompression bombs, truncated JPEGs, bodies that are too large, with and
without their length, clients that send their head or body slowly, and clients that never read an
answer. It prints the answers, the
latencies and the growth of the service's memory. The exit code is 1 if a good request was not
answered with 200, or a hostile one otherwise than it should be.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from argument_types import positive_number
from service_clients import (
    HOSTILE,
    LOOPBACK,
    Connection,
    Send,
    whole,
)

from src.system.subprocesses import resident_bytes

ROOT = Path(__file__).resolve().parent.parent
SERVICE = ROOT / "examples" / "http_service" / "service.py"
# The service stands alone: it finds its modules beside it, and not those of this project.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in {"PYTHONPATH", "PYTHONSAFEPATH"}
}
START_SECONDS = 60


@dataclass
class Outcomes:
    """Outcomes of the requests, and the memory of the service over time."""

    good: Counter[str] = field(default_factory=Counter)  # by status
    seconds: list[float] = field(default_factory=list)  # of good requests with 200
    lags: list[float] = field(default_factory=list)  # of the sender
    hostile: dict[str, Counter[str]] = field(default_factory=dict)  # by kind, by status
    memory: list[int] = field(default_factory=list)  # resident bytes, once a second

    @property
    def lost(self) -> int:
        """Number of good requests without their answer."""
        return sum(count for status, count in self.good.items() if status != "200")

    @property
    def unexpected(self) -> int:
        """Number of hostile requests that were answered otherwise than they should be."""
        return sum(
            count
            for kind, counts in self.hostile.items()
            for status, count in counts.items()
            if status not in HOSTILE[kind].answers
        )

    @property
    def memory_growth(self) -> int:
        """Growth of the resident bytes from the second quarter of the time to the last one."""
        quarter = len(self.memory) // 4
        if not quarter:
            return 0
        early = statistics.median(self.memory[quarter : 2 * quarter])
        return round(statistics.median(self.memory[-quarter:]) - early)

    def lines(self) -> Iterator[str]:
        """Yield the report."""
        total = sum(self.good.values())
        answers = ", ".join(f"{status}: {count}" for status, count in sorted(self.good.items()))
        yield f"good requests: {total}, lost: {self.lost} ({answers})"
        if self.seconds:
            p50, p99 = (1e3 * float(np.percentile(self.seconds, each)) for each in (50, 99))
            yield f"latency of good requests: p50 {p50:.1f} ms, p99 {p99:.1f} ms"
        if self.lags:
            lag = 1e3 * float(np.percentile(self.lags, 99))
            yield f"lateness of the sender: p99 {lag:.1f} ms"
        for kind, counts in sorted(self.hostile.items()):
            answers = ", ".join(f"{status}: {count}" for status, count in sorted(counts.items()))
            yield f"hostile, {kind}: {answers} (expected {' or '.join(HOSTILE[kind].answers)})"
        if self.memory:
            first, last = self.memory[0] / 1e6, self.memory[-1] / 1e6
            yield (
                f"memory of the service: {first:.0f} MB at first, {last:.0f} MB at last, "
                f"{self.memory_growth / 1e6:+.1f} MB from the second quarter to the last one"
            )


class Driver:
    """Sends the requests of one schedule."""

    def __init__(self, port: int, image: bytes, outcomes: Outcomes) -> None:
        self._port = port
        self._image = whole(image)
        self._outcomes = outcomes

    async def run(self, rate: float, seconds: float, hostile: float, seed: int) -> None:
        """Send good requests at ``rate`` a second, and a share of hostile ones beside them."""
        random = np.random.default_rng(seed)
        times = np.cumsum(random.exponential(1 / rate, round(rate * seconds)))
        chosen = random.random(len(times)) < hostile
        kinds = iter(list(HOSTILE) * (len(times) // len(HOSTILE) + 1))
        start, tasks = time.perf_counter(), set()
        for scheduled, with_hostile in zip((start + times).tolist(), chosen.tolist(), strict=True):
            await asyncio.sleep(max(0.0, scheduled - time.perf_counter()))
            self._outcomes.lags.append(max(0.0, time.perf_counter() - scheduled))
            tasks.add(asyncio.ensure_future(self._good(scheduled)))
            if with_hostile:
                tasks.add(asyncio.ensure_future(self._hostile(next(kinds))))
            tasks = {task for task in tasks if not task.done() or task.result()}
        await asyncio.gather(*tasks)

    async def _good(self, scheduled: float) -> None:
        status = await self._ask(self._image)
        self._outcomes.good[status] += 1
        if status == "200":
            self._outcomes.seconds.append(time.perf_counter() - scheduled)

    async def _hostile(self, kind: str) -> None:
        status = await self._ask(HOSTILE[kind].send)
        self._outcomes.hostile.setdefault(kind, Counter())[status] += 1

    async def _ask(self, send: Send) -> str:
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
        except OSError:
            return "refused"
        try:
            return await send(Connection(reader, writer))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@contextlib.contextmanager
def service(bundle: Path) -> Iterator[tuple[int, int]]:
    """Start the service, yield its port and process id, and end it."""
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, SERVICE, "--port", str(port)],
        env={**ENVIRONMENT, "BUNDLE": str(bundle)},
    )
    try:
        wait_until_ready(port, process)
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until the service answers.

    Raises:
        SystemExit: it ended, or did not become ready.
    """
    import urllib.request

    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("error: the service did not start")


async def watch_memory(pid: int, outcomes: Outcomes) -> None:
    """Note the resident bytes of a process once a second, where the system reports them."""
    while resident := resident_bytes(pid):
        outcomes.memory.append(resident)
        await asyncio.sleep(1)


async def drive(
    port: int, pid: int, image: bytes, rate: float, seconds: float, hostile: float, seed: int
) -> Outcomes:
    """Drive a running service, and return what became of the requests."""
    outcomes = Outcomes()
    watching = asyncio.ensure_future(watch_memory(pid, outcomes))
    try:
        await Driver(port, image, outcomes).run(rate, seconds, hostile, seed)
    finally:
        watching.cancel()
    return outcomes


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", type=Path, help="the folder of an unpacked bundle")
    parser.add_argument("--rate", type=positive_number, default=20.0, help="good requests a second")
    parser.add_argument("--minutes", type=positive_number, default=1.0)
    parser.add_argument("--hostile", type=float, default=0.01, help="share of the rate")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    image = arguments.bundle / "test_image.png"
    if not image.is_file():
        parser.error(f"{image} is missing; name the folder of an unpacked bundle")
    with service(arguments.bundle.resolve()) as (port, pid):
        outcomes = asyncio.run(
            drive(
                port,
                pid,
                image.read_bytes(),
                arguments.rate,
                60 * arguments.minutes,
                arguments.hostile,
                arguments.seed,
            )
        )
    print(f"{arguments.rate:g} requests a second for {arguments.minutes:g} minutes")
    print("\n".join(outcomes.lines()))
    if outcomes.lost or outcomes.unexpected:
        sys.exit(1)


if __name__ == "__main__":
    main()
