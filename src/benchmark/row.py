"""One row: a format on a device, from its start to its last figure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src import formats
from src.backends.base import Unavailable
from src.benchmark import turn
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row_processes import SuccessiveWorkers
from src.benchmark.statistics import fidelity
from src.benchmark.statistics.latency import Interval, Turn, speedup, summarize
from src.benchmark.statistics.scorecard import Scorecard
from src.benchmark.statistics.verdict import with_verdict
from src.run import fingerprint
from src.run.folder import TRACE_SUFFIX
from src.system import machine
from src.worker.answer import Logits
from src.worker.process import Limits, WorkerError, WorkerProcess

Images = NDArray[np.float32]

MOST_DAMAGED = 15  # tensors that the report names


class Row:
    """A format on a device. What fails in it stays in it: ``status`` and ``reason`` say so.

    Args:
        name: the format.
        device: ``cpu`` or ``cuda``.
        entry: the format's entry in the manifest.
        class_names: K, in label order.
    """

    def __init__(
        self, name: str, device: str, entry: dict[str, Any], class_names: Sequence[str]
    ) -> None:
        self.name = name
        self.device = device
        self.tolerance = formats.get(name).tolerance
        self.figures: dict[str, Any] = {
            "format": name,
            "device": device,
            "precision": entry["precision"],
            "status": entry["status"],
            "reason": entry["reason"],
            "size_bytes": sum(file["bytes"] for file in entry["files"]) or None,
            "files": [file["path"] for file in entry["files"]],
            "sha256": fingerprint.of(entry["files"]),
            **{name: entry.get(name) for name in ("export_seconds", "details", "varies", "usage")},
            "runs_with": entry.get("runs_with", []),
            "latency": [],
            "accuracy": None,
            "verdict": None,
        }
        self._listed: fingerprint.Listed = entry["files"]
        self._workers: SuccessiveWorkers | None = None
        self._holds: tuple[int, int] | None = None  # which process, and which batch size
        self.rounds: dict[int, dict[int, Turn]] = {}  # by batch size, by number of the round
        self._warm: dict[int, bool] = {}  # by batch size: each process reached a steady speed
        self._joules: dict[int, float | None] = {}  # by batch size: of an image, on a GPU
        self.memory: dict[int, dict[str, Any]] = {}  # by batch size: see src/benchmark/memory.py
        self._exports: Path | None = None
        self._probe: Images | None = None
        self._settled = True  # it burnt no CPU between its turns
        self.classes = len(class_names)
        self.scorecard = Scorecard(class_names)

    @property
    def ok(self) -> bool:
        return bool(self.figures["status"] == "ok")

    @property
    def runtime(self) -> str | None:
        """What runs it, with its version; None if it never ran."""
        effective: dict[str, str] = self.figures.get("effective", {})
        return effective.get("runtime")

    def start(self, exports: Path, limits: Limits, probe: tuple[Images, Images]) -> None:
        """Load the file in a process of its own, and check it against the trained network.

        What is measured is the file as it is now: its size and hash are not the manifest's.
        """
        self._exports, self._probe = exports, probe[0]

        def act() -> None:
            self.figures |= self.files_now(exports)
            missing = [path for path, found in self.figures["sha256"].items() if found is None]
            self._fail_if(f"{', '.join(missing)} of the export is missing" if missing else None)
            self._fail_if(None if self.figures["size_bytes"] else "the export is empty")
            if self.device == "cuda" and not machine.may_have_gpu():
                # Known without a process that imports a runtime only to say so.
                raise Unavailable("no CUDA device: this system has no driver of a GPU")
            self._workers = SuccessiveWorkers(
                lambda: WorkerProcess(self.name, exports / self.name, self.device, limits),
                self.classes,
                probe,
                self.tolerance,
            )
            self._workers.begin()
            self.figures |= self._workers.load()
            self.figures |= self._workers.check()

        self._guard(act)

    def begin_process(self) -> None:
        """End the process and begin the next, which is not waited for: :meth:`open_process`."""
        self._guard(lambda: self._successive().begin())

    def open_process(self) -> None:
        """Load and check the file in the process that was begun."""
        self._guard(lambda: self._successive().load())
        self._guard(lambda: self._successive().check())

    def files_now(self, exports: Path) -> dict[str, Any]:
        """The figures that are of the files themselves, as these are now."""
        now = fingerprint.taken(exports / self.name, self._listed)
        return {
            "sha256": fingerprint.of(now),
            "size_bytes": sum(file["bytes"] or 0 for file in now) or None,
            "as_exported": fingerprint.change(self._listed, now) is None,
        }

    def predict(self, images: Images) -> Logits | None:
        """Logits (n, K) of a batch (n, 3, H, W); None if the row is not ok, or no longer."""
        found: list[Logits] = []
        self._guard(lambda: found.append(self._alive().answer(images)))
        return found[0] if found else None

    def require_same(self, logits: Logits, baseline: Logits) -> None:
        """Fail unless the logits are those of the baseline, as far as due."""
        self._guard(lambda: self._fail_if(fidelity.what_is_wrong(logits, baseline, self.tolerance)))

    def time(self, images: Images, number: int, options: BenchmarkOptions) -> None:
        """One turn at timing a batch; a process's first one hands it over and warms up."""
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
        """How many times faster than ``other`` at a batch size; None where it can't be told."""
        return speedup(other.rounds.get(size, {}), self.rounds.get(size, {}))

    def end_timing(self) -> None:
        """Ask for what is known once all timing is over."""
        self._guard(self._last_figures)
        self._guard(self._require_unchanged)

    def raw(self) -> dict[str, Any]:
        """All that was measured, as plain values from which :meth:`finish` makes the figures."""
        return {
            "figures": self.figures,
            "rounds": {
                str(size): {str(number): asdict(turn) for number, turn in rounds.items()}
                for size, rounds in self.rounds.items()
            },
            "warm": {str(size): warm for size, warm in self._warm.items()},
            "joules": {str(size): joules for size, joules in self._joules.items()},
            "memory": {str(size): figures for size, figures in self.memory.items()},
            "scorecard": self.scorecard.raw(),
        }

    def restore(self, raw: dict[str, Any]) -> None:
        """Be the row that gave ``raw``, without its process."""
        self.figures = dict(raw["figures"])
        self.rounds = {
            int(size): {int(number): Turn.from_dict(turn) for number, turn in rounds.items()}
            for size, rounds in raw["rounds"].items()
        }
        self._warm = {int(size): warm for size, warm in raw["warm"].items()}
        self._joules = {int(size): joules for size, joules in raw["joules"].items()}
        self.memory = {int(size): figures for size, figures in raw["memory"].items()}
        self.scorecard.restore(raw["scorecard"])

    def finish(
        self,
        baseline: Row | None,
        counterpart: Row | None,
        max_drop: float,
        traces: Path | None = None,
    ) -> dict[str, Any]:
        """Every figure of this row, made from what was measured; its process ends.

        Args:
            max_drop: the accuracy that may be given up, a share of 1.
            baseline: what its speed is compared with.
            traces: a folder to write a trace of some calls into.
            counterpart: the fp32 file that the same runtime runs, for a row that isn't fp32.
        """
        if self.ok:
            self.figures["accuracy"] = self.scorecard.result(max_drop)
            self.figures["verdict"] = with_verdict(
                self.figures["accuracy"],
                may_be_same=baseline is not None and self.figures["precision"] == "fp32",
            )
            if traces is not None:
                self._trace(traces)
            if self.tolerance is None and self.figures["verdict"] in {"fail", "inconclusive"}:
                self._look_for_damage()
            for size, rounds in self.rounds.items():
                cell = summarize(size, rounds, warm=self._warm[size]) | self.memory.get(size, {})
                if self.device == "cuda":
                    cell["joules_per_image"] = self._joules[size]
                if baseline not in {None, self} and (found := self.speedup(baseline, size)):
                    cell["speedup"] = found.to_dict()
                if counterpart is not None and (found := self.speedup(counterpart, size)):
                    cell["speedup_same_runtime"] = {
                        "format": counterpart.name,
                        **found.to_dict(),
                    }
                self.figures["latency"].append(cell)
        self.close()
        return self.figures

    def _last_figures(self) -> None:
        workers = self._successive()
        self.figures["profile"] = workers.finish()
        self.figures["load_seconds"] = statistics.median(workers.load_seconds)
        self.figures["loads_seconds"] = workers.load_seconds
        self.figures["idle_between_turns"] = self._settled

    def _require_unchanged(self) -> None:
        if self._exports and self.files_now(self._exports)["sha256"] != self.figures["sha256"]:
            raise WorkerError("its files were changed while they were measured")

    def _trace(self, folder: Path) -> None:
        """A trace of some calls, and the profile that it gives."""
        path = folder / f"{self.name}-{self.device}{TRACE_SUFFIX}"
        # Under a name by which no viewer looks for it until it is whole.
        temporary = folder / f".{self.name}-{self.device}.json.gz"
        try:
            self.figures["profile"] = self._alive().ask("trace", path=str(temporary))["profile"]
            temporary.replace(path)
        except (WorkerError, OSError) as error:
            # The row is measured; only this is missing from it, and says so.
            self.figures["trace_reason"] = str(error)
            temporary.unlink(missing_ok=True)
        else:
            self.figures["trace"] = {"file": path.name, "bytes": path.stat().st_size}

    def _look_for_damage(self) -> None:
        """Which tensors depart the most from what was quantized, if the format can tell."""
        try:
            answer = self._alive().ask("damage", self._probe, exports=str(self._exports))
        except WorkerError as error:
            # The row is measured; only this is missing from it, and says so.
            self.figures["damage_reason"] = str(error)
        else:
            self.figures["damage"] = answer["damage"][:MOST_DAMAGED]

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
            self.figures |= {"status": status, "reason": str(error)}
            self.close()


def planned(manifest: dict[str, Any], chosen: Sequence[str] = ("cpu", "cuda")) -> list[Row]:
    """A row for each exported format and each of the ``chosen`` devices that it can run on."""
    return [
        Row(name, device, entry, manifest["class_names"])
        for name, entry in json.loads(json.dumps(manifest["formats"])).items()
        for device in formats.get(name).devices
        if device in chosen
    ]
