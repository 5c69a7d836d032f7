"""One row: a format on a device, from its start to its last figure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from src import formats
from src.backends.base import Unavailable
from src.benchmark import row_figures, turn
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row_processes import SuccessiveWorkers
from src.benchmark.statistics import fidelity
from src.benchmark.statistics.latency import speedup, summarize
from src.benchmark.statistics.scorecard import Scorecard
from src.benchmark.statistics.verdict import with_same
from src.run import row as records
from src.run.latency import Cell, Interval, Memory, RuntimeSpeedup, Turn
from src.run.manifest import Export, Manifest
from src.run.record import Device
from src.run.rounds import MeasuredRow
from src.system import machine
from src.worker.answer import Logits
from src.worker.process import Limits, WorkerError, WorkerProcess

Images = NDArray[np.float32]


class Row:
    """A format on a device. A failure stays in its row: ``status`` and ``reason`` say so.

    Args:
        name: the format.
        device: ``cpu`` or ``cuda``.
        export: the format's entry in the manifest.
        class_names: K, in label order.
    """

    def __init__(
        self, name: str, device: Device, export: Export, class_names: Sequence[str]
    ) -> None:
        self.name = name
        self.device = device
        self.tolerance = formats.get(name).tolerance
        self.figures = row_figures.exported(name, device, export)
        self._written = export.files
        self._workers: SuccessiveWorkers | None = None
        self._holds: tuple[int, int] | None = None  # which process, and which batch size
        self.rounds: dict[int, dict[int, Turn]] = {}  # by batch size, by number of the round
        self._warm: dict[int, bool] = {}  # by batch size: each process reached a steady speed
        self._joules: dict[int, float | None] = {}  # by batch size: of an image, on a GPU
        self.memory: dict[int, Memory] = {}  # by batch size: see src/benchmark/memory.py
        self._exports: Path | None = None
        self._images: Images | None = None  # of the reference outputs
        self._settled = True  # it burnt no CPU between its turns
        self.classes = len(class_names)
        self.scorecard = Scorecard(class_names)

    @property
    def ok(self) -> bool:
        return self.figures.is_ok

    @property
    def runtime(self) -> str | None:
        """The runtime with its version; None if it never ran."""
        runtime: str | None = self.figures.setting("runtime")
        return runtime

    def start(
        self, exports: Path, limits: Limits, reference_outputs: tuple[Images, Images]
    ) -> None:
        """Load the file in a process of its own, and check it against the trained network.

        The file is measured as it is now: its size and hash are not the manifest's.
        """
        self._exports, self._images = exports, reference_outputs[0]

        def act() -> None:
            present = self.files_now(exports)
            self._set(**present._asdict())
            missing = [path for path, sha256 in present.sha256.items() if sha256 is None]
            self._fail_if(f"{', '.join(missing)} of the export is missing" if missing else None)
            self._fail_if(None if present.size_bytes else "the export is empty")
            if self.device == "cuda" and not machine.may_have_gpu():
                # Known without a process that imports a runtime only to say so.
                raise Unavailable("no CUDA device: this system has no driver of a GPU")
            self._workers = SuccessiveWorkers(
                lambda: WorkerProcess(self.name, exports / self.name, self.device, limits),
                self.classes,
                reference_outputs,
                self.tolerance,
            )
            self._workers.begin()
            loaded = self._workers.load()
            self._set(
                import_seconds=loaded.import_seconds,
                load_seconds=loaded.load_seconds,
                nice=loaded.nice,
                requested=loaded.requested,
                effective=loaded.effective,
            )
            first = self._workers.check()
            self._set(first_inference_seconds=first.first_inference_seconds)

        self._guard(act)

    def begin_process(self) -> None:
        """End the process and begin the next, which is not waited for: :meth:`open_process`."""
        self._guard(lambda: self._successive().begin())

    def open_process(self) -> None:
        """Load and check the file in the process that was begun."""
        self._guard(lambda: self._successive().load())
        self._guard(lambda: self._successive().check())

    def files_now(self, exports: Path) -> row_figures.FileFigures:
        """Return the figures of the files themselves, as these are now."""
        return row_figures.of_files(exports / self.name, self._written)

    def predict(self, images: Images) -> Logits | None:
        """Return logits (n, K) of a batch (n, 3, H, W); None if the row is not ok, or no longer."""
        answers: list[Logits] = []
        self._guard(lambda: answers.append(self._alive().answer(images)))
        return answers[0] if answers else None

    def require_same(self, logits: Logits, baseline: Logits) -> None:
        """Fail unless the logits are those of the baseline, as far as due."""
        self._guard(lambda: self._fail_if(fidelity.what_is_wrong(logits, baseline, self.tolerance)))

    def time(self, images: Images, number: int, options: BenchmarkOptions) -> None:
        """Time a batch for one turn; a process's first one hands it over and warms up."""
        size = len(images)

        def act() -> None:
            worker, process = self._alive(), self._successive().number
            if self._holds != (process, size):
                warm = turn.warm_up(worker, images, options)
                self._warm[size] = self._warm.get(size, True) and warm
                if self.device == "cuda" and size not in self._joules:
                    self._joules[size] = turn.joules_of_an_image(worker, size)
                self._holds = process, size
            taken, settled = turn.take(worker, options, process)
            self.rounds.setdefault(size, {})[number] = taken
            self._settled &= settled

        self._guard(act)

    def speedup(self, other: Row, size: int) -> Interval | None:
        """Return how many times faster it is than ``other``; None where it can't be told."""
        return speedup(other.rounds.get(size, {}), self.rounds.get(size, {}))

    def end_timing(self) -> None:
        """Ask for what is known once all timing is over."""
        self._guard(self._last_figures)
        self._guard(self._require_unchanged)

    def raw(self) -> MeasuredRow:
        """Return all that was measured, from which :meth:`finish` makes the figures."""
        return MeasuredRow(
            figures=self.figures,
            rounds={
                str(size): {str(number): turn for number, turn in rounds.items()}
                for size, rounds in self.rounds.items()
            },
            warm={str(size): warm for size, warm in self._warm.items()},
            joules={str(size): joules for size, joules in self._joules.items()},
            memory={str(size): memory for size, memory in self.memory.items()},
            scorecard=self.scorecard.raw(),
        )

    def restore(self, raw: MeasuredRow) -> None:
        """Go on from what :meth:`raw` returned, without a process."""
        self.figures = raw.figures
        self.rounds = {
            int(size): {int(number): turn for number, turn in rounds.items()}
            for size, rounds in raw.rounds.items()
        }
        self._warm = {int(size): warm for size, warm in raw.warm.items()}
        self._joules = {int(size): joules for size, joules in raw.joules.items()}
        self.memory = {int(size): memory for size, memory in raw.memory.items()}
        self.scorecard.restore(raw.scorecard)

    def finish(
        self,
        baseline: Row | None,
        counterpart: Row | None,
        max_drop: float,
        traces: Path | None = None,
    ) -> records.Row:
        """Make every figure of this row from what was measured; its process ends.

        Args:
            baseline: the row that its speed is compared with.
            counterpart: the fp32 file that the same runtime runs, for a row that isn't fp32.
            max_drop: the accuracy that may be given up, a share of 1.
            traces: a folder to write a trace of some calls into.
        """
        if self.ok:
            may_be_same = baseline is not None and self.figures.precision == "fp32"
            score = with_same(self.scorecard.result(max_drop), may_be_same=may_be_same)
            if traces is not None:
                self.figures = row_figures.with_trace(self.figures, self._alive, traces)
            if self.tolerance is None and score.verdict in {"fail", "inconclusive"}:
                self.figures = row_figures.with_noise(
                    self.figures, self._alive, self._images, self._exports
                )
            self._set(
                accuracy=score.accuracy,
                verdict=score.verdict,
                latency=[self._cell(size, baseline, counterpart) for size in self.rounds],
            )
        self.close()
        fields = self.figures.__struct_fields__
        return records.Row(**{name: getattr(self.figures, name) for name in fields})

    def _cell(self, size: int, baseline: Row | None, counterpart: Row | None) -> Cell:
        """Return the figures at one batch size."""
        same_runtime = None
        if counterpart is not None and (gain := self.speedup(counterpart, size)):
            same_runtime = RuntimeSpeedup(
                format=counterpart.name,
                value=gain.value,
                low=gain.low,
                high=gain.high,
                processes=gain.processes,
            )
        return summarize(
            size,
            self.rounds[size],
            warm=self._warm[size],
            joules_per_image=self._joules[size] if self.device == "cuda" else None,
            speedup=None if baseline in {None, self} else self.speedup(baseline, size),
            speedup_same_runtime=same_runtime,
            peak_memory=self.memory.get(size),
        )

    def _last_figures(self) -> None:
        workers = self._successive()
        self._set(
            profile=workers.finish(),
            load_seconds=statistics.median(workers.load_seconds),
            loads_seconds=workers.load_seconds,
            idle_between_turns=self._settled,
        )

    def _require_unchanged(self) -> None:
        if self._exports and self.files_now(self._exports).sha256 != self.figures.sha256:
            raise WorkerError("its files were changed while they were measured")

    def _set(self, **figures: Any) -> None:
        """Replace some figures."""
        self.figures = msgspec.structs.replace(self.figures, **figures)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._workers is not None:
            self._workers.close()

    def _successive(self) -> SuccessiveWorkers:
        if self._workers is None:
            raise WorkerError("the worker process is not running")
        return self._workers

    def _alive(self) -> WorkerProcess:
        return self._successive().present

    def _fail_if(self, problem: str | None) -> None:
        if problem:
            raise WorkerError(problem)

    def _guard(self, act: Callable[[], object]) -> None:
        if not self.ok:
            return
        try:
            act()
        except (Unavailable, WorkerError) as error:
            status = "skipped" if isinstance(error, Unavailable) else "failed"
            self._set(status=status, reason=str(error))
            self.close()


def planned(manifest: Manifest, chosen: Sequence[str] = ("cpu", "cuda")) -> list[Row]:
    """Return a row for each exported format and each ``chosen`` device that it can run on."""
    return [
        Row(name, cast("Device", device), export, manifest.class_names)
        for name, export in manifest.formats.items()
        for device in formats.get(name).devices
        if device in chosen
    ]
