"""A worker as its parent sees it: requests, and images in and logits out."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from src import formats
from src.backends.base import Unavailable
from src.run.call_size import images_per_call
from src.run.file_input import Batch, BatchMaker, NotPixelsError
from src.system import emulation, environments, runtime_variables
from src.system.cpuid_mask import CannotHideError, InstructionSet
from src.system.emulation import Restriction
from src.worker import nvml, protocol, stopping, wire
from src.worker.errors import NotFiniteError, WorkerError
from src.worker.guarded_process import GuardedProcess, Limits
from src.worker.requested_settings import as_requested

MOST_MESSAGE_BYTES = 32_000_000  # of image files in one request, or a single larger file
_CHANNELS = 3  # of an image


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
        kind = formats.get(name)
        self._batch_maker = batch_maker
        self._mixes_batch = kind.mixes_batch
        self._device = device
        self._device_memory = nvml.GrowthMeter() if device == "cuda" and limits.exclusive else None
        own = python or kind.python()
        interpreter = [*(emulator.command if emulator else ()), str(own)]
        is_ours = own == Path(sys.executable)
        variables = os.environ if is_ours else environments.variables_of_another()
        words = ["-m", "src.worker.server", name, str(folder), device, str(limits.threads)]
        # Runtimes read this when they are imported.
        threads = {"OMP_NUM_THREADS": str(limits.threads)}
        self._process = GuardedProcess(
            [*interpreter, *words],
            {**runtime_variables.without_other_precision(variables), **threads, **hiding},
            limits,
            own_group=self._may_be_stopped,
        )

    @property
    def peak_device_bytes(self) -> int | None:
        """Peak memory of the worker on the GPU; None on a CPU and if it is not metered."""
        return self._device_memory.peak_bytes if self._device_memory else None

    @property
    def pid(self) -> int:
        """Return the number of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """True if the process has ended by itself or was killed."""
        return self._process.has_ended

    def fileno(self) -> int:
        """Return the descriptor that is readable when an answer is there, for ``select``."""
        return self._process.fileno()

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

    def load(self, classes: int) -> protocol.Loaded:
        """Load the file, which runs as it was asked to.

        Args:
            classes: K, the number of classes that every answer must have.

        Raises:
            Unavailable: the format cannot run on that device here.
            WorkerError: the request failed, or the runtime runs with other settings.
        """
        return as_requested(self.ask(protocol.Load(classes=classes)))

    def rest(self) -> bool:
        """Let the process use no CPU until its next request; return False if it still does.

        Raises:
            WorkerError: the process has ended.
        """
        rested = self.ask(protocol.Rest(by_stopping=self._may_be_stopped))
        if rested.may_be_stopped:
            self._process.stop()
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
        call = wire.Call(request=cast("protocol.AnyRequest", request), shape=shape, dtype=dtype)
        self._process.send(wire.encoded(call), *([] if batch is None else [batch.tobytes()]))

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
        answer = wire.decoded_answer(self._receive(request))
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
        data = self._receive(request)
        return np.frombuffer(data, dtype=np.float32).reshape(answer.shape)

    def close(self) -> None:
        """Kill the process and free its resources."""
        self._process.close()

    def _receive(self, request: protocol.Request[Any]) -> bytes:
        """Return the next message, and look at the GPU's memory until it is there."""
        meter = self._device_memory
        return self._process.receive(request.name, meter.sample if meter else lambda: None)


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
