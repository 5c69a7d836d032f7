"""Timing of a deployed program within the worker: the bytes of an image file to its label.

The functions of :mod:`src.shipped` are timed, which a bundle ships. They need numpy and Pillow, and
the packages of other decoders that are timed. The files are in memory, so no disk and no network is
part of the time.
"""

from __future__ import annotations

import gc
import io
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from src.backends.base import Runtime
from src.run.facts import PreprocessingFacts
from src.run.file_input import PIXELS
from src.run.pipeline import REFERENCE, STAGES, Decoder, Stage
from src.shipped import jpeg_decoders, predict, predict_images
from src.shipped.decoder_names import PACKAGES, WITH_RUNTIME
from src.shipped.warm_up import of_files
from src.worker import protocol
from src.worker.idle import wait_until_idle
from src.worker.stopwatch import TURN_WARMUP_SECONDS

TOP = 5  # classes that a program names
# Share of a call by which the stages may miss the outer clock, in the median over a turn.
MOST_UNEXPLAINED = 0.03


class FilePipeline(ABC):
    """A deployed program's way from the bytes of an image file to its label, timed by stage.

    Args:
        contents: the image files.
        clock: seconds; replaced in tests.
        cpu_clock: seconds of processor time of this process, over all its threads.
    """

    def __init__(
        self,
        contents: Sequence[bytes],
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._contents = contents
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._label = -1  # of the latest call

    @abstractmethod
    def once(self, content: bytes, decoder: Decoder) -> tuple[float, list[float]]:
        """Return the seconds of one call by an outer clock, and those of each stage."""

    def classify(
        self, decoders: Sequence[Decoder] = (), runs_with: Sequence[str] = ()
    ) -> protocol.FilesHeld:
        """Classify the first file, for which a runtime may have to compile.

        Args:
            decoders: those that will be timed, which are imported.
            runs_with: the packages that the format's runtime imports.
        """
        left_out = unusable(decoders, runs_with)
        self.once(self._contents[0], REFERENCE)
        wait_until_idle()
        return protocol.FilesHeld(label=self._label, left_out=left_out)

    def warm_up(
        self, files: Sequence[int], tolerance: float, max_seconds: float
    ) -> protocol.WarmedUp:
        """Classify files until the speed is steady: see :func:`src.shipped.warm_up.of_files`.

        The decoder is the reference.

        Args:
            files: positions of the files.
            tolerance: share by which two windows may differ.
            max_seconds: limit, but for the last call.
        """
        contents = [self._contents[position] for position in files]
        started = self._clock()
        warm = of_files(
            lambda content: self.once(content, REFERENCE)[0],
            contents,
            tolerance,
            max_seconds,
            self._clock,
        )
        return protocol.WarmedUp(warm=warm, seconds=self._clock() - started)

    def time(self, request: protocol.TimePipeline) -> protocol.PipelineTimed:
        """Time one turn: passes over the files until the samples or the seconds are used up.

        Garbage collection is off meanwhile, as in :mod:`timeit`.

        Raises:
            RuntimeError: the stages do not add up to the whole.
        """
        cpu_before = self._cpu_clock()
        contents = [self._contents[position] for position in request.files]
        end = self._clock() + TURN_WARMUP_SECONDS
        self.once(contents[0], request.decoder)
        while self._clock() < end:
            self.once(contents[0], request.decoder)
        calls: list[tuple[float, list[float]]] = []
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            busy, started = self._cpu_clock(), self._clock()
            while not calls or (
                len(calls) + len(contents) <= request.samples
                and self._clock() - started < request.max_seconds
            ):
                calls += [self.once(content, request.decoder) for content in contents]
            elapsed, busy = self._clock() - started, self._cpu_clock() - busy
        finally:
            if was_enabled:
                gc.enable()
        seconds = [whole for whole, _ in calls]
        stages: dict[Stage, list[float]] = {
            stage: [parts[number] for _, parts in calls] for number, stage in enumerate(STAGES)
        }
        require_sum(seconds, stages)
        return protocol.PipelineTimed(
            timing=protocol.Timing(
                seconds=seconds,
                elapsed_seconds=elapsed,
                cpu_seconds=busy,
                energy_joules=None,
                device_seconds=None,
            ),
            stages=stages,
            request_cpu_seconds=self._cpu_clock() - cpu_before,
        )


class ImagePipeline(FilePipeline):
    """A file's runtime behind the decoding and in front of the labelling of a deployed program.

    Args:
        runtime: the loaded file.
        preprocessing: with all values.
        contents: the image files.
        clock: see :class:`FilePipeline`.
        cpu_clock: see :class:`FilePipeline`.
    """

    def __init__(
        self,
        runtime: Runtime,
        preprocessing: PreprocessingFacts,
        contents: Sequence[bytes],
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        super().__init__(contents, clock, cpu_clock)
        self._runtime = runtime
        self._rule: dict[str, Any] = msgspec.to_builtins(preprocessing)
        self._takes_pixels = runtime.settings.get("input") == str(PIXELS)

    def once(self, content: bytes, decoder: Decoder) -> tuple[float, list[float]]:
        """Return the seconds of one call by an outer clock, and those of each stage."""
        clock, runtime, rule = self._clock, self._runtime, self._rule
        at_least = predict_images.least_side(decoder, rule)
        runtime.synchronize()
        began = clock()
        moments = [clock()]
        file = io.BytesIO(content)
        image = predict_images.read_image(file, at_least=at_least, decoder=decoder)
        moments.append(clock())
        image = predict_images.resize(image, rule)
        moments.append(clock())
        images = predict_images.as_input(image, rule, takes_pixels=self._takes_pixels)[None]
        moments.append(clock())
        logits = runtime(images)
        runtime.synchronize()
        moments.append(clock())
        answer = predict.require_answer(np.asarray(logits), 1, np.shape(logits)[-1])
        self._label = predict.likeliest(predict.softmax(answer)[0], TOP)[0]
        moments.append(clock())
        seconds = clock() - began
        return seconds, [after - before for before, after in itertools.pairwise(moments)]


def unusable(decoders: Sequence[Decoder], runs_with: Sequence[str]) -> dict[Decoder, str]:
    """Import decoders, and return the reasons of those that a deployed program would not use."""
    reasons: dict[Decoder, str] = {}
    for decoder in [name for name in decoders if name in PACKAGES]:
        needed = WITH_RUNTIME.get(decoder)
        if needed is not None and needed not in runs_with:
            reasons[decoder] = f"it needs {needed}, which the file runs without"
            continue
        try:
            jpeg_decoders.load(decoder)
        except jpeg_decoders.MissingDecoderError as error:
            reasons[decoder] = str(error)
    return reasons


def require_sum(seconds: Sequence[float], stages: dict[Stage, list[float]]) -> None:
    """Refuse stages that do not add up to the calls by the outer clock.

    Raises:
        RuntimeError: they miss it by more than ``MOST_UNEXPLAINED`` in the median.
    """
    sums = np.sum([stages[stage] for stage in STAGES], axis=0)
    unexplained = float(np.median(np.abs(np.asarray(seconds) - sums) / np.asarray(seconds)))
    if unexplained > MOST_UNEXPLAINED:
        raise RuntimeError(
            f"the stages of the pipeline miss the whole by {unexplained:.1%} of its time"
        )
