"""A worker process as its parent sees it: start, requests, limits and end."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
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
from src.run.file_input import Batch, BatchMaker, NotPixelsError
from src.system import emulation
from src.system.cpuid_mask import CannotHideError, InstructionSet
from src.system.emulation import Restriction
from src.system.subprocesses import resident_bytes
from src.worker import nvml, protocol, stopping
from src.worker.answer import UnusableAnswer
from src.worker.call_size import images_per_call

_ROOT = Path(src.__file__).parent.parent
MOST_MESSAGE_BYTES = 32_000_000  # of image files in one request, or a single larger file
_CHANNELS = 3  # of an image
_POLL_SECONDS = 0.2  # between two checks of a worker that has not answered yet


class WorkerError(Exception):
    """A worker raised an error, died or exceeded a limit; the message is one line."""


class TimedOutError(WorkerError):
    """A worker exceeded the time limit of an answer."""


class NotFiniteError(WorkerError):
    """The logits of some images are not finite; the logits of the others are valid.

    Args:
        images: positions of these images in the batch.
    """

    def __init__(self, images: Sequence[int]) -> None:
        super().__init__(str(UnusableAnswer.not_finite(tuple(images))))
        self.images = tuple(images)


@dataclass(frozen=True)
class Limits:
    """Limits and scheduling of one worker.

    Args:
        threads: number of intra-op threads.
        answer_seconds: time limit of one answer; a worker that exceeds it is killed.
        resident_bytes: memory limit; a worker that exceeds it is killed.
        group: prefix of the options that set these limits, for messages.
        high_priority: run at the highest priority if the system allows it, for timing.
        exclusive: no other worker is used at the same time, so the growth of the GPU's memory is
            this worker's, and it is metered.
    """

    threads: int
    answer_seconds: float
    resident_bytes: int
    group: str = "benchmark."
    high_priority: bool = True
    exclusive: bool = False


class WorkerProcess:
    """One exported file, loaded in a separate process.

    Args:
        name: name of the format.
        folder: folder of the exported file.
        device: ``cpu`` or ``cuda``.
        limits: limits beyond which the process is killed, and its intra-op threads.
        batch_maker: makes the file's input of images; None sends them as they are.
        instruction_set: the newest one that the process may use; None for all of the processor.
        python: interpreter of another environment; None for that of the format.

    Raises:
        Unavailable: newer instruction sets cannot be hidden from a process here, and no older
            processor can be emulated; or the format's environment cannot be made.

    Attributes:
        emulator: name of the emulator and its processor; None if the process runs natively.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        device: str,
        limits: Limits,
        batch_maker: BatchMaker | None = None,
        instruction_set: InstructionSet | None = None,
        python: Path | None = None,
    ) -> None:
        hiding, emulator = _restricted(instruction_set)
        self.emulator = emulator.name if emulator else None
        # On a GPU and in a browser, what spins is not this process alone.
        self._may_be_stopped = stopping.IS_POSSIBLE and device == "cpu" and emulator is None
        self._is_stopped = False
        kind = formats.get(name)
        interpreter = python or kind.python()
        self._limits = limits
        self._batch_maker = batch_maker
        self._mixes_batch = kind.mixes_batch
        self._device = device
        self._device_memory = nvml.GrowthMeter() if device == "cuda" and limits.exclusive else None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the worker
        self._connection, worker_connection = Pipe()
        command = [
            *(emulator.command if emulator else ()),
            str(interpreter),
            "-m",
            "src.worker.server",
            name,
            str(folder),
            device,
        ]
        with worker_connection:
            self._process = subprocess.Popen(
                [
                    *command,
                    str(limits.threads),
                    str(worker_connection.fileno()),
                    "high" if limits.high_priority else "normal",
                ],
                pass_fds=[worker_connection.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                cwd=_ROOT,
                # A group of its own: the kernel sends SIGHUP to a group that loses its terminal's
                # shell while a process of it is stopped, and that must not end this command.
                process_group=0 if self._may_be_stopped else None,
                # Runtimes read this when they are imported.
                env={**os.environ, "OMP_NUM_THREADS": str(limits.threads), **hiding},
            )

    @property
    def peak_device_bytes(self) -> int | None:
        """Peak memory of the worker on the GPU; None on a CPU and if it is not metered."""
        return self._device_memory.peak_bytes if self._device_memory else None

    def fileno(self) -> int:
        """Return the descriptor that is readable when an answer is there, for ``select``."""
        return self._connection.fileno()

    def ask(
        self,
        request: protocol.Request[protocol.AnswerType],
        images: NDArray[Any] | None = None,
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

    def rest(self) -> bool:
        """Let the process use no CPU until its next request; return False if it still does.

        Raises:
            WorkerError: the process has ended.
        """
        rested = self.ask(protocol.Rest(by_stopping=self._may_be_stopped))
        if rested.may_be_stopped:
            stopping.stop(self._process)
            self._is_stopped = True
        return rested.idle

    def begin(self, request: protocol.Request[Any], images: NDArray[Any] | None = None) -> None:
        """Send a request without waiting for its answer; :meth:`end` waits for it.

        Several workers can work at the same time this way. The GPU's memory is not metered.

        Args:
            request: what to do.
            images: in one of the forms of :class:`src.run.file_input.BatchMaker`.

        Raises:
            WorkerError: the process has ended, or the file cannot take these images.
        """
        batch = None if images is None else self._batch(images)
        shape = None if batch is None else batch.shape
        dtype: Any = "float32" if batch is None else batch.dtype.name
        call = protocol.Call(request=cast("protocol.AnyRequest", request), shape=shape, dtype=dtype)
        if self._is_stopped:
            stopping.go_on(self._process)
            self._is_stopped = False
        try:
            self._connection.send_bytes(protocol.encoded(call))
            if batch is not None:
                self._connection.send_bytes(batch.tobytes())
        except ConnectionError as error:
            raise WorkerError(self._death()) from error

    def _wrong_input(self, loaded: protocol.Loaded) -> str | None:
        """Describe a file whose input is not the recorded one; None if it is, or is not known."""
        recorded = self._batch_maker and str(self._batch_maker.takes)
        actual = loaded.effective.get("input", recorded)
        if recorded in {None, actual}:
            return None
        return f"the manifest has the input {recorded}, but the file {actual}"

    def _batch(self, images: NDArray[Any]) -> Batch:
        """Return images as the file takes them."""
        if self._batch_maker is None:
            return np.ascontiguousarray(images, dtype=np.float32)
        try:
            return self._batch_maker(images)
        except NotPixelsError as error:
            raise WorkerError(str(error)) from error

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
            case protocol.NotAvailable():
                raise Unavailable(answer.reason)
            case protocol.Failed() if answer.not_finite:
                raise NotFiniteError(answer.not_finite)
            case protocol.Failed():
                raise WorkerError(answer.reason)
            case protocol.Loaded() if problem := self._wrong_input(answer):
                raise WorkerError(problem)
            case _:
                return cast(
                    "protocol.AnswerType", answer
                )  # the server answers each request with its type

    def answer(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return logits (N, K) for images, independent of the other images of their batch.

        All calls have the same number of images, :func:`images_per_call`, and a smaller batch is
        filled up with its last image. Evaluation and prediction both call this, so an image has
        the same logits in both.

        Raises:
            NotFiniteError: the logits of some images are not finite; all batches were run.
            WorkerError: the request failed.
        """
        pixels = images[0].size // _CHANNELS if len(images) else 0
        size = images_per_call(pixels, self._device, mixes_batch=self._mixes_batch)
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

    def predict(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return logits (N, K) for images, in one call of the runtime.

        Raises:
            WorkerError: the request failed.
        """
        return self._logits(protocol.Predict(), images)

    def answer_files(self, contents: list[bytes]) -> NDArray[np.float32]:
        """Return logits (n, K) for n image files, by a file with its preprocessing inside.

        Several requests keep the memory of photos small: a message holds them more than once.

        Raises:
            WorkerError: a request failed.
        """
        answers, start = [], 0
        while start < len(contents):
            sizes = itertools.accumulate(map(len, contents[start:]))
            fitting = sum(1 for size in sizes if size <= MOST_MESSAGE_BYTES)
            part = contents[start : start + max(1, fitting)]
            answers.append(self._logits(protocol.AnswerFiles(contents=part)))
            start += len(part)
        return np.concatenate(answers)

    def _logits(
        self, request: protocol.Request[protocol.Logits], images: NDArray[Any] | None = None
    ) -> NDArray[np.float32]:
        answer = self.ask(request, images)
        try:
            data = self._receive(request.name)
        except (EOFError, ConnectionError) as error:
            raise WorkerError(self._death()) from error
        return np.frombuffer(data, dtype=np.float32).reshape(answer.shape)

    def close(self) -> None:
        """Kill the process and free its resources."""
        self._connection.close()
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _receive(self, request: str) -> bytes:
        """Return the next message.

        Raises:
            WorkerError: the worker exceeded a limit.
        """
        end = time.monotonic() + self._limits.answer_seconds
        while not self._connection.poll(_POLL_SECONDS):
            resident = resident_bytes(self._process.pid)
            if resident > self._limits.resident_bytes:
                self._kill(
                    f"{resident / 1e9:.1f} GB resident during {request}, over "
                    f"{self._limits.group}max_memory_bytes={self._limits.resident_bytes}; killed"
                )
            if time.monotonic() > end:
                self._process.kill()
                raise TimedOutError(
                    f"no answer to {request} within {self._limits.answer_seconds:g} s "
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


def _restricted(instruction_set: InstructionSet | None) -> Restriction:
    """Return the way to run as on an older processor.

    Raises:
        Unavailable: there is none here.
    """
    if instruction_set is None:
        return Restriction({})
    try:
        return emulation.restricting(instruction_set)
    except CannotHideError as error:
        raise Unavailable(str(error)) from error
