"""The process that holds one exported file and does what it is told with it.

    python -m src.worker.server FORMAT FOLDER DEVICE THREADS CONNECTION first|ordinary

It imports the format's module and, when told to load, the format's runtime: nothing else. The
messages are those of :mod:`src.worker.protocol`. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import os
import select
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from src import formats
from src.backends.base import Profile, Runtime, Unavailable
from src.errors import describe
from src.run import row
from src.system import machine, os_errors
from src.system.packages import missing_packages
from src.worker import protocol
from src.worker.answer import UnusableAnswer, logits_of
from src.worker.energy import EnergyMeter
from src.worker.memory_peak import peak_when_steady
from src.worker.stopwatch import Stopwatch

Images = NDArray[np.float32]

# A thread pool may spin for a while after its last task. A worker answers only when this
# has ended, so that it burns nothing during the turns of others.
_IDLE_CHECK_SECONDS = 0.005
_IDLE_SHARE = 0.1  # of one core
_IDLE_CEILING_SECONDS = 0.5

_NICE = -20  # the highest priority that is not real-time; privileged


class Worker:
    """One exported file in this process."""

    def __init__(self, name: str, folder: Path, device: str, threads: int) -> None:
        self._format = formats.get(name)
        self._folder = folder
        self._device = device
        self._threads = threads
        self._runtime: Runtime | None = None
        self._held: Images | None = None
        self._classes: int | None = None
        self._energy = EnergyMeter(device)
        self._empty_rss = machine.peak_rss_bytes()

    def import_runtime(self) -> protocol.Imported:
        """Import the runtime.

        Raises:
            Unavailable: it is not installed.
        """
        missing = missing_packages(self._format.runs_with)
        if missing:
            raise Unavailable(f"not installed: {', '.join(missing)}")
        started = perf_counter()
        for package in self._format.runs_with:
            importlib.import_module(package)
        return protocol.Imported(import_seconds=perf_counter() - started)

    def load(self, classes: int | None = None) -> protocol.Loaded:
        """Import the runtime, where it is not, then load the file; both timed, in seconds.

        Args:
            classes: K, as every answer is to have them.
        """
        self._classes = classes
        imported = self.import_runtime()
        started = perf_counter()
        self._runtime = self._format.load(self._folder, self._device, self._threads)
        self._runtime.synchronize()
        return protocol.Loaded(
            import_seconds=imported.import_seconds,
            load_seconds=perf_counter() - started,
            nice=os.getpriority(os.PRIO_PROCESS, 0),
            requested={"device": self._device, "threads": self._threads},
            effective=self._runtime.settings,
        )

    def predict(self, images: Images) -> Images:
        """Return logits (N, K) for images (N, 3, H, W)."""
        return logits_of(self._loaded()(images), len(images), self._classes)

    def hold(self, images: Images) -> protocol.Held:
        """Keep a batch, to time it, and time the first inference of it."""
        self._held = images
        stopwatch = self._stopwatch()
        seconds = stopwatch.once()
        self._require_logits(stopwatch)
        return protocol.Held(first_inference_seconds=seconds)

    def warm_up(self, tolerance: float, max_seconds: float) -> protocol.WarmedUp:
        """Call until the speed no longer changes: see :meth:`Stopwatch.warm_up`."""
        stopwatch = self._stopwatch()
        answer = stopwatch.warm_up(tolerance, max_seconds)
        self._require_logits(stopwatch)
        self._settle()
        return answer

    def time(self, samples: int, max_seconds: float) -> protocol.Timed:
        """Time one turn: see :meth:`Stopwatch.time`."""
        busy = process_time()
        stopwatch = self._stopwatch()
        timing = stopwatch.time(samples, max_seconds)
        self._require_logits(stopwatch)
        settled = self._settle()
        return protocol.Timed(
            timing=timing, settled=settled, request_cpu_seconds=process_time() - busy
        )

    def energy(self, least_seconds: float, max_seconds: float) -> protocol.Spent:
        """Measure the energy of many calls: see :meth:`Stopwatch.energy`."""
        answer = self._stopwatch().energy(least_seconds, max_seconds)
        self._settle()
        return answer

    def finish(self) -> protocol.Profiled:
        """Return what is known once all timing is over: the profile."""
        images = self._held if self._held is None else self._held[:1]
        return _profiled(Profile() if images is None else self._loaded().profile(images))

    def peak_memory(self, images: Images) -> protocol.MemoryPeak:
        """Measure the peak resident memory since the start, above that of the empty worker.

        Args:
            images: (N, 3, H, W), which are called until the peak is steady. It holds them too.
        """
        self._held = images
        stopwatch = self._stopwatch()
        peak = peak_when_steady(stopwatch.once, lambda: machine.peak_rss_bytes() - self._empty_rss)
        self._require_logits(stopwatch)
        return protocol.MemoryPeak(peak_rss_bytes=peak)

    def trace(self, path: str) -> protocol.Profiled:
        """Profile once more, and write the calls that the profile comes from to ``path``."""
        if self._held is None:
            raise RuntimeError("no batch is held")
        return _profiled(self._loaded().profile(self._held[:1], Path(path)))

    def damage(self, images: Images, exports: str) -> protocol.Departures:
        """Return where the file departs from what it was made from, if its format can tell.

        Args:
            images: (n, 3, H, W), to run both on.
            exports: the folder that holds the other formats' folders.
        """
        tensors = self._format.sensitivity(self._folder, Path(exports), images)
        noises = [row.TensorNoise(**dataclasses.asdict(tensor)) for tensor in tensors]
        return protocol.Departures(damage=noises)

    def _settle(self) -> bool:
        """Wait until this process burns no CPU; False where it still does at the ceiling."""
        end = perf_counter() + _IDLE_CEILING_SECONDS
        while perf_counter() < end:
            wall, busy = perf_counter(), process_time()
            sleep(_IDLE_CHECK_SECONDS)
            if process_time() - busy < _IDLE_SHARE * (perf_counter() - wall):
                return True
        return False

    def _require_logits(self, stopwatch: Stopwatch) -> None:
        """Refuse the answer of the call that was timed last, unless it is one like any other.

        Raises:
            UnusableAnswer: it did not.
        """
        if self._held is None:
            raise RuntimeError("no batch is held")
        logits_of(stopwatch.answer, len(self._held), self._classes)

    def _stopwatch(self) -> Stopwatch:
        if self._held is None:
            raise RuntimeError("no batch is held")
        return Stopwatch(self._loaded(), self._held, energy=self._energy)

    def _loaded(self) -> Runtime:
        if self._runtime is None:
            raise RuntimeError("nothing is loaded")
        return self._runtime


def serve(connection: Connection, worker: Worker) -> None:
    """Answer requests until the other side closes."""
    while True:
        try:
            call = protocol.decoded_call(connection.recv_bytes())
        except EOFError:
            return
        images = np.zeros(0, dtype=np.float32)
        if call.shape is not None:
            data = np.frombuffer(bytearray(connection.recv_bytes()), dtype=np.float32)
            images = data.reshape(call.shape)
        message: protocol.Message
        try:
            answer = _answer(worker, call.request, images)
        except Unavailable as error:
            message = protocol.NotHere(reason=str(error))
        except UnusableAnswer as error:
            message = protocol.Failed(reason=str(error), not_finite=error.images)
        except Exception as error:  # told to the parent, which makes it the row's reason
            message = protocol.Failed(reason=_reason(error))
        else:
            if isinstance(answer, np.ndarray):
                connection.send_bytes(protocol.encoded(protocol.Logits(shape=answer.shape)))
                connection.send_bytes(answer.tobytes())
                continue
            message = answer
        connection.send_bytes(protocol.encoded(message))


def _answer(  # noqa: C901, PLR0911  # one case a request
    worker: Worker, request: protocol.AnyRequest, images: Images
) -> protocol.Answer | Images:
    match request:
        case protocol.ImportRuntime():
            return worker.import_runtime()
        case protocol.Load():
            return worker.load(request.classes)
        case protocol.Predict():
            return worker.predict(images)
        case protocol.Hold():
            return worker.hold(images)
        case protocol.WarmUp():
            return worker.warm_up(request.tolerance, request.max_seconds)
        case protocol.Time():
            return worker.time(request.samples, request.max_seconds)
        case protocol.Energy():
            return worker.energy(request.least_seconds, request.max_seconds)
        case protocol.Finish():
            return worker.finish()
        case protocol.PeakMemory():
            return worker.peak_memory(images)
        case protocol.Trace():
            return worker.trace(request.path)
        case protocol.Damage():
            return worker.damage(images, request.exports)
        case _:
            assert_never(request)


def _profiled(profile: Profile) -> protocol.Profiled:
    return protocol.Profiled(profile=row.Profile(**dataclasses.asdict(profile)))


def _reason(error: Exception) -> str:
    if os_errors.is_out_of_memory(error):
        error.add_note("smaller benchmark.batch_sizes take less")
    return os_errors.explain(error) or describe(error)


def _end_with_parent(descriptor: int) -> None:
    """End this process, whatever it is doing, when the other side of its connection is gone."""
    watched = select.poll()
    # Nothing but its end, which poll tells in any case: the messages are for others.
    watched.register(descriptor, getattr(select, "POLLRDHUP", 0))
    watched.poll()
    os._exit(1)


def main(argv: list[str]) -> None:
    name, folder, device, threads, descriptor, priority = argv
    # Where memory runs out, the kernel ends this process and not the one that trained.
    with contextlib.suppress(OSError):  # not Linux
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    # Where the system allows it, other processes get what this one leaves: their work would be
    # timed as the file's. Before any thread is there, for threads inherit it.
    if priority == "first":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    # A runtime that prints must not mix with what this project prints on standard output.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    connection = Connection(int(descriptor))
    # A terminal sends Ctrl-C to all processes of a command; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=[connection.fileno()], daemon=True).start()
    serve(connection, Worker(name, Path(folder), device, int(threads)))


if __name__ == "__main__":
    main(sys.argv[1:])
