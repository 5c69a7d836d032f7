"""One row of a measurement: a format on a device."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from src import formats
from src.backends import own_environment
from src.backends.base import Unavailable
from src.benchmark import row_figures
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row_embedded import RowEmbedded
from src.benchmark.row_instruction_sets import RowInstructionSets
from src.benchmark.row_latency import RawLatency, RowLatency
from src.benchmark.row_memory import RowMemory
from src.benchmark.row_pipeline import PipelineFiles, RowPipeline
from src.benchmark.row_processes import RowProcesses
from src.benchmark.statistics import fidelity
from src.benchmark.statistics.scorecard import Scorecard
from src.benchmark.statistics.verdict import with_same
from src.run import row as records
from src.run.file_input import BatchMaker
from src.run.latency import Cell, Interval
from src.run.manifest import Export
from src.run.record import Device
from src.run.rounds import MeasuredRow, named, numbered
from src.system import machine
from src.worker.answer import Logits
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess

Images = NDArray[np.float32]


class Row:
    """Measurement of a format on a device.

    A failure ends only this row. It is stored in ``status`` and ``reason`` of the figures.

    Args:
        name: the format.
        device: ``cpu`` or ``cuda``.
        export: the format's entry in the manifest.
        class_names: K, in label order.
        batch_maker: makes the file's input of images; None leaves them as they are.
        python: interpreter of the processes; None for that of the format.
    """

    def __init__(
        self,
        name: str,
        device: Device,
        export: Export,
        class_names: Sequence[str],
        batch_maker: BatchMaker | None = None,
        python: Path | None = None,
    ) -> None:
        self.batch_maker, self.python = batch_maker, python
        self.name = name
        self.device = device
        self.tolerance = formats.get(name).tolerance
        self.figures = row_figures.exported(name, device, export)
        self._written = export.files
        self._processes: RowProcesses | None = None
        self.latency = RowLatency(on_gpu=device == "cuda")
        self.memory = RowMemory()
        self._exports: Path | None = None
        self._reference_images: Images | None = None
        self.classes = len(class_names)
        self.scorecard = Scorecard(class_names)
        self.pipeline = RowPipeline()
        self.instruction_sets = RowInstructionSets(class_names)
        on_cpu = device == "cpu"
        self.embedded = RowEmbedded(name, export.embedded if on_cpu else None, self.classes)

    @property
    def ok(self) -> bool:
        """True if the row was not skipped and has not failed."""
        return self.figures.is_ok

    @property
    def runtime(self) -> str | None:
        """Name and version of the runtime; None if the file was never loaded."""
        runtime: str | None = self.figures.setting("runtime")
        return runtime

    def start(self, exports: Path, limits: Limits, reference: tuple[Images, Images]) -> None:
        """Load the file in a new process, and check it against the trained network.

        Size and hash are those of the present files; they are not copied from the manifest.

        Args:
            exports: the folder that holds the formats' folders.
            limits: of each process.
            reference: images (n, 3, H, W) and the trained network's logits (n, K) for them.
        """
        self._exports, self._reference_images = exports, reference[0]
        if self.device == "browser":
            limits = dataclasses.replace(limits, threads=1)  # as a page without special headers

        def load_and_check() -> None:
            present = self.files_now(exports)
            self._set(**present._asdict())
            self._fail_if(row_figures.problem_of(present))
            if self.device == "cuda" and not machine.may_have_gpu():
                # No process is started: it would import a runtime only to find this out.
                raise Unavailable("no CUDA device: this system has no driver of a GPU")
            self.python = self.python or formats.get(self.name).python()  # of all its processes
            self._set(environment=own_environment.identity_of(self.python))
            file = (self.name, exports / self.name, self.device, limits, self.batch_maker)
            self._processes = RowProcesses(
                lambda: WorkerProcess(*file, python=self.python),
                self.classes,
                reference,
                self.tolerance,
            )
            self._processes.begin()
            loaded = self._processes.load()
            self._set(
                import_seconds=loaded.import_seconds,
                load_seconds=loaded.load_seconds,
                nice=loaded.nice,
                requested=loaded.requested,
                effective=loaded.effective,
            )
            first = self._processes.check()
            self._set(first_inference_seconds=first.first_inference_seconds)

        self._try(load_and_check)

    def begin_process(self) -> None:
        """End the process and start the next one; :meth:`open_process` waits for it."""
        self._try(lambda: self._started().begin())

    def open_process(self) -> None:
        """Load and check the file in the process that :meth:`begin_process` started."""
        self._try(lambda: self._started().load())
        self._try(lambda: self.memory.measure_next(self._started()))
        self._try(lambda: self._started().check())

    def files_now(self, exports: Path) -> row_figures.FileFigures:
        """Return size and hashes of the files as they are now."""
        return row_figures.of_files(exports / self.name, self._written)

    def predict(self, images: Images) -> Logits | None:
        """Return logits (n, K) of a batch (n, 3, H, W); None if the row has failed or fails now."""
        logits: list[Logits] = []
        self._try(lambda: logits.append(self._worker().answer(images)))
        return logits[0] if logits else None

    def require_agreement(self, logits: Logits, baseline: Logits) -> None:
        """Fail if the logits differ from the baseline's by more than the format's tolerance."""
        self._try(lambda: self._fail_if(fidelity.mismatch(logits, baseline, self.tolerance)))

    def time(self, images: Images, number: int, options: BenchmarkOptions) -> None:
        """Time a batch (N, 3, H, W) for one turn, of the round with this number."""
        self._try(lambda: self.latency.time(self._started(), images, number, options))

    def time_pipeline(self, files: PipelineFiles, number: int, options: BenchmarkOptions) -> None:
        """Time one turn from the bytes of image files to their labels."""
        self._try(lambda: self.pipeline.time(self._started(), files, number, options))
        self._set(
            pipeline_reason=self.pipeline.reason, decoders_left_out=dict(self.pipeline.left_out)
        )
        if self.ok and self._processes is not None:
            self.embedded.time(self._processes.number, files, number, options)

    def speedup(self, other: Row, size: int) -> Interval | None:
        """Return how many times faster this row is than ``other``; None with too few rounds."""
        return self.latency.over(other.latency, size)

    def end_timing(self) -> None:
        """Read the profile and the load times, and check that the files did not change."""
        self._try(self._read_last_figures)
        self._try(self._require_unchanged)
        self.embedded.end_timing()

    def raw(self) -> MeasuredRow:
        """Return the raw measurement, from which :meth:`finish` computes the figures."""
        return MeasuredRow(
            figures=self.figures,
            **self.latency.raw()._asdict(),
            memory=named(self.memory.peaks),
            scorecard=self.scorecard.raw(),
            pipeline=self.pipeline.raw(),
            instruction_sets=self.instruction_sets.raw(),
            embedded=self.embedded.raw(),
        )

    def restore(self, raw: MeasuredRow) -> None:
        """Restore what :meth:`raw` returned; no process is started."""
        self.figures = raw.figures
        self.latency.restore(RawLatency(raw.rounds, raw.warm, raw.joules))
        self.memory.peaks = numbered(raw.memory)
        self.scorecard.restore(raw.scorecard)
        self.pipeline.restore(raw.pipeline)
        self.instruction_sets.restore(raw.instruction_sets)
        self.embedded.restore(raw.embedded)

    def finish(
        self,
        baseline: Row | None,
        counterpart: Row | None,
        max_drop: float,
        traces: Path | None = None,
    ) -> records.Row:
        """Compute every figure of this row, and end its process.

        Args:
            baseline: the row that the speed is compared with.
            counterpart: the fp32 row of the same runtime, for a row that isn't fp32.
            max_drop: top-1 accuracy that may be lost, as a share of 1.
            traces: folder to write a trace of some calls into; None to write none.
        """
        if self.ok:
            is_fp32 = self.figures.precision == "fp32"
            # A page computes on the CPU, by whose baseline it is scored.
            may_be_same = is_fp32 and (baseline is not None or self.device == "browser")
            score = with_same(self.scorecard.result(max_drop), may_be_same=may_be_same)
            if traces is not None:
                self.figures = row_figures.with_trace(self.figures, self._worker, traces)
            if self.tolerance is None and score.verdict in {"fail", "inconclusive"}:
                self.figures = row_figures.with_noise(
                    self.figures, self._worker, self._reference_images, self._exports
                )
            over = baseline.pipeline if baseline else None
            self._set(
                accuracy=score.accuracy,
                verdict=score.verdict,
                instruction_sets=self.instruction_sets.figures(max_drop, is_fp32=is_fp32),
                latency=[self._cell(size, baseline, counterpart) for size in self.latency.rounds],
                pipeline=self.pipeline.figures(over, max_drop),
                embedded=self.embedded.figures(self.pipeline, over, max_drop),
            )
        self.close()
        return records.Row(**msgspec.structs.asdict(self.figures))

    def _cell(self, size: int, baseline: Row | None, counterpart: Row | None) -> Cell:
        """Return the figures at one batch size."""
        gain = None if baseline in {None, self} else self.speedup(baseline, size)
        other = counterpart
        same_runtime = self.latency.over_format(other.name, other.latency, size) if other else None
        return self.latency.cell(size, gain, same_runtime, self.memory.peaks.get(size))

    def _read_last_figures(self) -> None:
        processes = self._started()
        self._set(
            profile=processes.finish(),
            load_seconds=statistics.median(processes.load_seconds),
            loads_seconds=processes.load_seconds,
            idle_between_turns=self.latency.settled and self.pipeline.settled,
        )

    def _require_unchanged(self) -> None:
        if self._exports and self.files_now(self._exports).sha256 != self.figures.sha256:
            raise WorkerError("its files were changed while they were measured")

    def _set(self, **figures: Any) -> None:
        """Replace some figures."""
        self.figures = msgspec.structs.replace(self.figures, **figures)

    def close(self) -> None:
        """End the process, if there is one."""
        self.instruction_sets.close()
        self.embedded.close()
        if self._processes is not None:
            self._processes.close()

    def _started(self) -> RowProcesses:
        if self._processes is None:
            raise WorkerError("the worker process is not running")
        return self._processes

    def _worker(self) -> WorkerProcess:
        return self._started().current

    def _fail_if(self, problem: str | None) -> None:
        if problem:
            raise WorkerError(problem)

    def _try(self, action: Callable[[], object]) -> None:
        """Run an action if the row is ok; if it fails, end the row with the reason."""
        if not self.ok:
            return
        try:
            action()
        except (Unavailable, WorkerError) as error:
            status = "skipped" if isinstance(error, Unavailable) else "failed"
            self._set(status=status, reason=str(error))
            self.close()
