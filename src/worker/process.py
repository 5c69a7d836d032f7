"""The parent's hold on a worker process: start, ask, watch, end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

import src
from src import formats
from src.backends.base import Unavailable
from src.errors import one_line
from src.worker import nvml, protocol
from src.worker.answer import UnusableAnswer

_ROOT = Path(src.__file__).parent.parent
_PAGE = os.sysconf("SC_PAGE_SIZE")
EVALUATION_BATCH = 64  # images that evaluation and prediction give a file at once
_LOOK_SECONDS = 0.2  # between two looks at a worker that has not answered yet


class WorkerError(Exception):
    """A worker raised, died or did not answer in time; the message says which, in one line."""


class NotFiniteError(WorkerError):
    """The logits of some images are not finite; those of the others are as good as ever.

    Args:
        images: the positions of these images among those that were given.
    """

    def __init__(self, images: Sequence[int]) -> None:
        super().__init__(str(UnusableAnswer.not_finite(tuple(images))))
        self.images = tuple(images)


@dataclass(frozen=True)
class Limits:
    """Limits of one worker.

    Args:
        threads: intra-op.
        answer_seconds: what one answer may take before it is killed.
        resident_bytes: what it may hold before it is killed.
        group: of the options that set these, as messages name them.
        first: run before other processes, where the system allows it, as what is timed must.
        alone: while it is asked no other worker is, so what is taken of the GPU's memory is its
            own and is metered.
    """

    threads: int
    answer_seconds: float
    resident_bytes: int
    group: str = "benchmark."
    first: bool = True
    alone: bool = False


class WorkerProcess:
    """One exported file, loaded in a process of its own.

    Args:
        name: the format.
        folder: where it was exported to.
        device: ``cpu`` or ``cuda``.
        limits: past which it is killed; and its intra-op threads.
    """

    def __init__(self, name: str, folder: Path, device: str, limits: Limits) -> None:
        self._limits = limits
        self._mixes_batch = formats.get(name).mixes_batch
        self._device_memory = nvml.GrowthMeter() if device == "cuda" and limits.alone else None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the worker
        self._connection, theirs = Pipe()
        command = [sys.executable, "-m", "src.worker.server", name, str(folder), device]
        with theirs:
            self._process = subprocess.Popen(
                [
                    *command,
                    str(limits.threads),
                    str(theirs.fileno()),
                    "first" if limits.first else "ordinary",
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                cwd=_ROOT,
                # Thread pools are sized when a runtime is imported.
                env={**os.environ, "OMP_NUM_THREADS": str(limits.threads)},
            )

    @property
    def peak_device_bytes(self) -> int | None:
        """The most memory it had on the GPU; None on a CPU, and where nothing tells."""
        return self._device_memory.peak_bytes if self._device_memory else None

    def ask(
        self,
        request: protocol.Request[protocol.AnswerType],
        images: NDArray[np.float32] | None = None,
    ) -> protocol.AnswerType:
        """Return the worker's answer to one request.

        Raises:
            Unavailable: the format cannot run on that device here.
            WorkerError: the request failed.
        """
        if self._device_memory:
            self._device_memory.begin()
        self.begin(request, images)
        answer = self.end(request)
        if self._device_memory:
            self._device_memory.end()
        return answer

    def begin(
        self, request: protocol.Request[Any], images: NDArray[np.float32] | None = None
    ) -> None:
        """Send a request, whose answer :meth:`end` waits for; several workers may be at work then.

        What it takes of the GPU's memory is not measured.

        Raises:
            WorkerError: the process has ended.
        """
        shape = None if images is None else images.shape
        call = protocol.Call(request=cast("protocol.AnyRequest", request), shape=shape)
        try:
            self._connection.send_bytes(protocol.encoded(call))
            if images is not None:
                self._connection.send_bytes(
                    np.ascontiguousarray(images, dtype=np.float32).tobytes()
                )
        except ConnectionError as error:
            raise WorkerError(self._death()) from error

    def end(self, request: protocol.Request[protocol.AnswerType]) -> protocol.AnswerType:
        """Return the answer to the request that :meth:`begin` sent.

        Raises:
            Unavailable: the format cannot run on that device here.
            WorkerError: the request failed.
        """
        try:
            answer = protocol.decoded_answer(self._receive(request.name))
        except (EOFError, ConnectionError) as error:
            raise WorkerError(self._death()) from error
        match answer:
            case protocol.NotHere():
                raise Unavailable(answer.reason)
            case protocol.Failed() if answer.not_finite:
                raise NotFiniteError(answer.not_finite)
            case protocol.Failed():
                raise WorkerError(answer.reason)
            case _:
                return cast("protocol.AnswerType", answer)  # the server gives each its own

    def answer(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (N, K) for images (N, 3, H, W), each the same whatever comes with it.

        A runtime takes other kernels for another number of images, which changes the last bits,
        so it is always given as many: the last image again where there are fewer. Evaluation
        and prediction both ask here, and so have the same answer for the same image.

        Raises:
            NotFiniteError: the logits of some images are not finite; all were asked for.
            WorkerError: the request failed.
        """
        size = 1 if self._mixes_batch else EVALUATION_BATCH
        answers, not_finite = [], []
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            repeated = np.repeat(batch[-1:], size - len(batch), axis=0)
            try:
                answers.append(self.predict(np.concatenate([batch, repeated]))[: len(batch)])
            except NotFiniteError as error:
                not_finite += [start + index for index in error.images if index < len(batch)]
        if not_finite:
            raise NotFiniteError(not_finite)
        return np.concatenate(answers)

    def predict(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (N, K) for images (N, 3, H, W), in one call of the runtime.

        Raises:
            WorkerError: the request failed.
        """
        request = protocol.Predict()
        answer = self.ask(request, images)
        try:
            data = self._receive(request.name)
        except (EOFError, ConnectionError) as error:
            raise WorkerError(self._death()) from error
        return np.frombuffer(data, dtype=np.float32).reshape(answer.shape)

    def close(self) -> None:
        """End the process, at once; nothing is left behind."""
        self._connection.close()
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _receive(self, doing: str) -> bytes:
        """The next message, unless the worker passes a limit first."""
        end = time.monotonic() + self._limits.answer_seconds
        while not self._connection.poll(_LOOK_SECONDS):
            resident = resident_bytes(self._process.pid)
            if resident > self._limits.resident_bytes:
                self._kill(
                    f"{resident / 1e9:.1f} GB resident during {doing}, over "
                    f"{self._limits.group}max_memory_bytes={self._limits.resident_bytes}; killed"
                )
            if time.monotonic() > end:
                self._kill(
                    f"no answer to {doing} within {self._limits.answer_seconds:g} s "
                    f"({self._limits.group}timeout_seconds); killed"
                )
            if self._device_memory:
                self._device_memory.sample()
        return self._connection.recv_bytes()

    def _kill(self, reason: str) -> None:
        self._process.kill()
        raise WorkerError(reason)

    def _death(self) -> str:
        code = self._process.wait()
        self._log.seek(0)
        last = one_line(self._log.read().decode(errors="replace"))[-300:]
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if code == -signal.SIGKILL:
            cause += " (the kernel does so when memory runs out)"
        return f"the worker process ended with {cause}" + (f": {last}" if last else "")


def resident_bytes(pid: int) -> int:
    """The resident set of a process; 0 where there is no ``/proc`` that tells, or no process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
