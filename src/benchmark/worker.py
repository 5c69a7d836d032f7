"""The process that holds one exported file and does what it is told with it.

    python -m src.benchmark.worker FORMAT FOLDER DEVICE THREADS CONNECTION

It imports the format's module and, when told to load, the format's runtime: nothing else. A
request is one JSON message, followed by one message with the raw float32 images where it has
a ``shape``. So is a reply. Nothing is pickled.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src import formats
from src.errors import describe
from src.formats.base import Runtime, Unavailable, missing_packages

Images = NDArray[np.float32]

LEAST_WARMUP_CALLS = 3


class Worker:
    """One exported file in this process."""

    def __init__(self, name: str, folder: Path, device: str, threads: int) -> None:
        self._kind = formats.get(name)
        self._folder = folder
        self._device = device
        self._threads = threads
        self._runtime: Runtime | None = None
        self._held: Images | None = None
        self._empty_rss = peak_rss()

    def load(self) -> dict[str, Any]:
        """Import the runtime, then load the file; both timed, in seconds."""
        missing = missing_packages(self._kind.runs_with)
        if missing:
            raise Unavailable(f"not installed: {', '.join(missing)}")
        started = time.perf_counter()
        for package in self._kind.runs_with:
            importlib.import_module(package)
        imported = time.perf_counter()
        self._runtime = self._kind.load(self._folder, self._device, self._threads)
        self._runtime.synchronize()
        loaded = time.perf_counter()
        return {
            "import_seconds": imported - started,
            "load_seconds": loaded - imported,
            "settings": self._runtime.settings,
        }

    def predict(self, images: Images) -> Images:
        """Logits (N, K) for images (N, 3, H, W)."""
        return np.ascontiguousarray(self._loaded()(images), dtype=np.float32)

    def hold(self, images: Images) -> dict[str, Any]:
        """Keep a batch, to time it; how long the first inference of it took, in seconds."""
        self._held = images
        return {"first_inference_seconds": self._once()}

    def time(self, samples: int, warmup_seconds: float, max_seconds: float) -> dict[str, Any]:
        """Seconds of each of at most ``samples`` calls on the held batch, one after another.

        Calls of the first ``warmup_seconds``, ``LEAST_WARMUP_CALLS`` at least, are not
        counted. At least one call is, and no further one starts after ``max_seconds``.
        """
        warm = time.perf_counter() + warmup_seconds
        calls = 0
        while calls < LEAST_WARMUP_CALLS or time.perf_counter() < warm:
            self._once()
            calls += 1
        end = time.perf_counter() + max_seconds
        seconds = [self._once()]
        while len(seconds) < samples and time.perf_counter() < end:
            seconds.append(self._once())
        return {"seconds": seconds}

    def memory(self) -> dict[str, Any]:
        """Peak resident memory since the start, above that of the empty worker, in bytes."""
        return {"peak_rss_bytes": peak_rss() - self._empty_rss}

    def _once(self) -> float:
        runtime, images = self._loaded(), self._held
        if images is None:
            raise RuntimeError("no batch is held")
        runtime.synchronize()
        started = time.perf_counter()
        runtime(images)
        runtime.synchronize()
        return time.perf_counter() - started

    def _loaded(self) -> Runtime:
        if self._runtime is None:
            raise RuntimeError("nothing is loaded")
        return self._runtime


def peak_rss() -> int:
    """The largest resident set this process has had, in bytes."""
    try:
        # getrusage's ru_maxrss also counts what the parent held before exec.
        with Path("/proc/self/status").open(encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # no /proc: macOS, where ru_maxrss is in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def serve(connection: Connection, worker: Worker) -> None:
    """Answer requests until the other side closes."""
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except EOFError:
            return
        shape = request.pop("shape", None)
        if shape is not None:
            data = np.frombuffer(bytearray(connection.recv_bytes()), dtype=np.float32)
            request["images"] = data.reshape(shape)
        try:
            answer = getattr(worker, request.pop("do"))(**request)
        except Unavailable as error:
            _send(connection, {"unavailable": str(error)})
        except Exception as error:  # told to the parent, which makes it the row's reason
            _send(connection, {"error": describe(error)})
        else:
            if isinstance(answer, np.ndarray):
                _send(connection, {"shape": answer.shape})
                connection.send_bytes(answer.tobytes())
            else:
                _send(connection, answer)


def _send(connection: Connection, message: dict[str, Any]) -> None:
    connection.send_bytes(json.dumps(message).encode())


def main(argv: list[str]) -> None:
    name, folder, device, threads, descriptor = argv
    # A runtime that prints must not mix with what this project prints on standard output.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    connection = Connection(int(descriptor))
    serve(connection, Worker(name, Path(folder), device, int(threads)))


if __name__ == "__main__":
    main(sys.argv[1:])
