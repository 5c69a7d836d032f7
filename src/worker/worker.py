"""One exported file, and what its process does with it on request."""

from __future__ import annotations

import dataclasses
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import numpy as np

from src import formats
from src.backends.base import PictureClassifier, Profile, Runtime, Unavailable
from src.backends.self_timed import SelfTimed
from src.errors import LightshipError
from src.run import row
from src.run.file_input import Batch, accepted
from src.system import cpuid_mask, machine
from src.system.packages import missing_packages
from src.worker import lifetime, protocol
from src.worker.answer import Logits, logits_of
from src.worker.energy import EnergyMeter
from src.worker.idle import wait_until_idle
from src.worker.memory_peak import peak_when_steady
from src.worker.picture_pipeline import PicturePipeline, answered
from src.worker.pipeline import FilePipeline, ImagePipeline
from src.worker.self_timed_stopwatch import SelfTimedStopwatch, other_settled
from src.worker.stopwatch import Stopwatch


class Worker:
    """One exported file in this process."""

    def __init__(self, name: str, folder: Path, device: str, threads: int) -> None:
        self._format = formats.get(name)
        self._folder = folder
        self._device = device
        self._threads = threads
        self._runtime: Runtime | None = None
        self._held: Batch | None = None
        self._classifier: PictureClassifier | None = None  # with its preprocessing inside
        self._pipeline: FilePipeline | None = None
        self._classes: int | None = None
        self._energy = EnergyMeter(device)
        self._empty_rss = machine.peak_rss_bytes()

    def import_runtime(self) -> protocol.Imported:
        """Import the runtime.

        Raises:
            Unavailable: a package is not installed.
        """
        missing = missing_packages(self._format.runs_with)
        if missing:
            raise Unavailable(f"not installed: {', '.join(missing)}")
        started = perf_counter()
        cpuid_mask.require_effective()
        for package in self._format.runs_with:
            importlib.import_module(package)
        return protocol.Imported(import_seconds=perf_counter() - started)

    def load(self, classes: int | None = None, *, embedded: bool = False) -> protocol.Loaded:
        """Import the runtime if necessary, then load the file; time both.

        Args:
            classes: K, which every output must have; None to accept any number.
            embedded: the file has its preprocessing inside.
        """
        self._classes = classes
        imported = self.import_runtime()
        started = perf_counter()
        loaded: Runtime | PictureClassifier
        if embedded:
            loaded = self._classifier = self._format.load_embedded(self._folder, self._threads)
        else:
            loaded = self._runtime = self._format.load(self._folder, self._device, self._threads)
            self._runtime.synchronize()
        return protocol.Loaded(
            import_seconds=imported.import_seconds,
            load_seconds=perf_counter() - started,
            nice=(
                loaded.nice()
                if isinstance(loaded, SelfTimed)
                else os.getpriority(os.PRIO_PROCESS, 0)
            ),
            requested={"device": self._device, "threads": self._threads},
            effective=loaded.settings,
        )

    def predict(self, images: Batch) -> Logits:
        """Return logits (N, K) for images as the file takes them."""
        return logits_of(self._loaded()(self._accepted(images)), len(images), self._classes)

    def answer_held(self, images: int) -> protocol.Answered:
        """Answer the first images of the held batch, gathered as a service gathers requests."""
        if self._held is None:
            raise RuntimeError("no batch is held")
        logits = self._loaded()(np.stack([*self._held[:images]]))
        logits_of(logits, images, self._classes)
        return protocol.Answered()

    def hold(self, images: Batch) -> protocol.Held:
        """Hold a batch for timing, and time its first inference."""
        self._held = self._accepted(images)
        stopwatch = self._stopwatch()
        seconds = stopwatch.once()
        self._require_logits(stopwatch)
        return protocol.Held(first_inference_seconds=seconds)

    def warm_up(
        self, tolerance: float, max_seconds: float, files: Sequence[int] = ()
    ) -> protocol.WarmedUp:
        """Call until the speed no longer changes: see :meth:`Stopwatch.warm_up`.

        With files, the held ones are classified: see :meth:`FilePipeline.warm_up`.
        """
        if files:
            return self._pipeline_of_files().warm_up(files, tolerance, max_seconds)
        stopwatch = self._stopwatch()
        answer = stopwatch.warm_up(tolerance, max_seconds)
        self._require_logits(stopwatch)
        return answer

    def time(self, samples: int, max_seconds: float) -> protocol.Timed:
        """Time one turn: see :meth:`Stopwatch.time`."""
        stopwatch = self._stopwatch()
        cpu_before = stopwatch.cpu_seconds()
        timing = stopwatch.time(samples, max_seconds)
        self._require_logits(stopwatch)
        used = stopwatch.cpu_seconds() - cpu_before
        return protocol.Timed(timing=timing, request_cpu_seconds=used)

    def rest(self, *, by_stopping: bool) -> protocol.Rested:
        """Use no CPU until the next request.

        A thread pool may spin for a while after its last task. A stopped process does not, and
        nobody has to wait for the end of it.

        Args:
            by_stopping: the parent can stop this process.
        """
        if by_stopping and lifetime.end_with_parent_while_stopped():
            return protocol.Rested(idle=True, may_be_stopped=True)
        runtime = self._runtime
        idle = other_settled(runtime) if isinstance(runtime, SelfTimed) else wait_until_idle()
        return protocol.Rested(idle=idle, may_be_stopped=False)

    def energy(self, least_seconds: float, max_seconds: float) -> protocol.Spent:
        """Measure the energy of many calls: see :meth:`Stopwatch.energy`."""
        stopwatch = self._stopwatch()
        return stopwatch.energy(least_seconds, max_seconds)

    def finish(self) -> protocol.Profiled:
        """Return the profile of a call with one image."""
        images = self._held if self._held is None else self._held[:1]
        return _profiled(Profile() if images is None else self._loaded().profile(images))

    def peak_memory(self, images: Batch) -> protocol.MemoryPeak:
        """Measure the peak resident memory since the start, above that of the empty worker.

        Args:
            images: as the file takes them; it is called with them until the peak is steady. The
                worker holds them afterwards.
        """
        self._held = self._accepted(images)
        stopwatch = self._stopwatch()
        empty = 0 if isinstance(self._runtime, SelfTimed) else self._empty_rss
        peak = peak_when_steady(stopwatch.once, lambda: stopwatch.peak_bytes() - empty)
        self._require_logits(stopwatch)
        return protocol.MemoryPeak(peak_rss_bytes=peak)

    def trace(self, path: str) -> protocol.Profiled:
        """Profile some calls, write their trace to ``path``, and return the profile."""
        if self._held is None:
            raise RuntimeError("no batch is held")
        return _profiled(self._loaded().profile(self._held[:1], Path(path)))

    def compare_tensors(self, images: Batch, exports: str) -> protocol.TensorErrors:
        """Return the quantization errors of the file's tensors, if its format can tell.

        Args:
            images: as the file takes them, to run it and its fp32 original on.
            exports: the folder that holds the other formats' folders.
        """
        tensors = self._format.sensitivity(self._folder, Path(exports), images)
        noises = [row.TensorNoise(**dataclasses.asdict(tensor)) for tensor in tensors]
        return protocol.TensorErrors(tensors=noises)

    def pipeline(
        self, request: protocol.HoldFiles | protocol.TimePipeline
    ) -> protocol.FilesHeld | protocol.PipelineTimed:
        """Hold image files, or time one turn: see :class:`ImagePipeline`.

        Raises:
            LightshipError: the file runs in another program, whose own code prepares its images.
        """
        if isinstance(self._runtime, SelfTimed):
            raise LightshipError("a page decodes and resizes by its own code, which is not timed")
        if isinstance(request, protocol.HoldFiles):
            self._pipeline = (
                PicturePipeline(self._classifier, request.contents)
                if self._classifier
                else ImagePipeline(self._loaded(), request.preprocessing, request.contents)
            )
            return self._pipeline.classify(request.decoders, self._format.runs_with)
        return self._pipeline_of_files().time(request)

    def answer_files(self, contents: list[bytes]) -> Logits:
        """Classify image files: see :func:`src.worker.picture_pipeline.answered`."""
        if self._classifier is None:
            raise RuntimeError("no file with its preprocessing inside is loaded")
        return answered(self._classifier, contents, self._classes)

    def _pipeline_of_files(self) -> FilePipeline:
        if self._pipeline is None:
            raise RuntimeError("no files are held")
        return self._pipeline

    def _accepted(self, images: Batch) -> Batch:
        """Return images as they are, or raise a ValueError if the file takes another type."""
        return accepted(images, self._loaded().settings.get("input"))

    def _require_logits(self, stopwatch: Stopwatch) -> None:
        """Check the output of the last timed call.

        Raises:
            UnusableAnswer: it is not usable as logits.
        """
        if self._held is None:
            raise RuntimeError("no batch is held")
        logits_of(stopwatch.answer, len(self._held), self._classes)

    def _stopwatch(self) -> Stopwatch:
        if self._held is None:
            raise RuntimeError("no batch is held")
        runtime = self._loaded()
        if isinstance(runtime, SelfTimed):
            return SelfTimedStopwatch(runtime, self._held)
        return Stopwatch(runtime, self._held, energy=self._energy)

    def _loaded(self) -> Runtime:
        if self._runtime is None:
            raise RuntimeError("nothing is loaded")
        return self._runtime


def _profiled(profile: Profile) -> protocol.Profiled:
    return protocol.Profiled(profile=row.Profile(**dataclasses.asdict(profile)))
