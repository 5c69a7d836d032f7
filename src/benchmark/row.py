"""One row: a format on a device, from its start to its last figure."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src import fingerprint, formats, machine
from src.benchmark import fidelity
from src.benchmark.answer import Logits
from src.benchmark.disturbance import Observation
from src.benchmark.latency import Interval, Turn, load_of, speedup, summarize
from src.benchmark.options import BenchmarkOptions
from src.benchmark.process import Limits, WorkerError, WorkerProcess
from src.benchmark.scorecard import Scorecard
from src.benchmark.verdict import with_verdict
from src.formats.base import Unavailable
from src.runs import TRACE_SUFFIX

Images = NDArray[np.float32]

WARM = 0.02  # two windows of the warm-up agree within this share
MOST_RELOAD_SECONDS = 2.0
# A GPU's energy counter moves some ten times a second, and a turn is as short as one of its steps.
ENERGY_SECONDS = 0.3
MOST_ENERGY_SECONDS = 3.0
# A slow host call (upper quartile) that is below this share of a fast call by the device's clock
# (lower quartile) cannot hold it. At batch 1 both are the time of launching kernels, which differs
# by half between calls on a busy host.
LEAST_HOST_SHARE = 0.5
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
            "export_seconds": entry.get("export_seconds"),
            "details": entry.get("details"),
            "varies": entry.get("varies"),
            "usage": entry.get("usage"),
            "runs_with": entry.get("runs_with", []),
            "latency": [],
            "accuracy": None,
            "verdict": None,
        }
        self._listed: fingerprint.Listed = entry["files"]
        self._worker: WorkerProcess | None = None
        self.rounds: dict[int, dict[int, Turn]] = {}  # by batch size, by number of the round
        self._warm: dict[int, bool] = {}  # by batch size: a steady speed was reached
        self._joules: dict[int, float | None] = {}  # by batch size: of an image, on a GPU
        self.memory: dict[int, dict[str, Any]] = {}  # by batch size: see src/benchmark/memory.py
        self._exports: Path | None = None
        self._probe: Images | None = None
        self._loads: list[float] = []  # seconds of each
        self._settled = True  # it burnt no CPU between its turns
        self.classes = len(class_names)
        self.scorecard = Scorecard(class_names)

    @property
    def ok(self) -> bool:
        return bool(self.figures["status"] == "ok")

    @property
    def _reloads(self) -> bool:
        return self._loads[0] <= MOST_RELOAD_SECONDS

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
            self._worker = WorkerProcess(self.name, exports / self.name, self.device, limits)
            self.figures |= self._worker.ask("load", classes=self.classes)
            self._loads.append(self.figures["load_seconds"])
            self._fail_if(_other_settings(self.figures["requested"], self.figures["effective"]))
            self.figures |= self._worker.ask("hold", probe[0][:1])
            self._fail_if(
                fidelity.what_is_wrong(self._worker.predict(probe[0]), probe[1], self.tolerance)
            )

        self._guard(act)

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
        """One turn at timing a batch; the first one hands it over and warms up.

        The file is loaded again every few rounds: see :func:`src.benchmark.latency.load_of`. Not
        one that takes long, as what is compiled when it is loaded: it would only be loaded.
        """
        size = len(images)

        def act() -> None:
            worker = self._alive()
            rounds = self.rounds.setdefault(size, {})
            if not rounds:
                worker.ask("hold", images)
                steady = worker.ask("warm_up", tolerance=WARM, max_seconds=options.warmup_seconds)
                self._warm[size] = steady["warm"]
                if self.device == "cuda":
                    self._joules[size] = self._energy(worker, size)
            elif self._reloads and load_of(number) != load_of(next(reversed(rounds))):
                self._loads.append(worker.ask("reload")["load_seconds"])
            before, own = Observation.now(), time.process_time()
            answer = worker.ask("time", samples=options.samples, max_seconds=options.turn_seconds)
            after, own = Observation.now(), time.process_time() - own
            self._fail_if(_faster_than_its_device(answer["seconds"], answer["device_seconds"]))
            own += answer.pop("request_cpu_seconds")
            self._settled &= answer.pop("settled")
            rounds[number] = Turn(
                **answer, disturbance=before.until(after, own) if before and after else None
            )

        self._guard(act)

    def _energy(self, worker: WorkerProcess, size: int) -> float | None:
        """Joules of the GPU for each image; None where it has no counter."""
        spent = worker.ask("energy", least_seconds=ENERGY_SECONDS, max_seconds=MOST_ENERGY_SECONDS)
        return None if spent["joules"] is None else spent["joules"] / spent["calls"] / size

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
        worker = self._alive()
        self.figures["profile"] = worker.ask("finish")["profile"]
        self.figures["load_seconds"] = statistics.median(self._loads)
        self.figures["loads_seconds"] = self._loads
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
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _alive(self) -> WorkerProcess:
        if self._worker is None:
            raise WorkerError("the worker process is not running")
        return self._worker

    def _fail_if(self, problem: str | None) -> None:
        if problem:
            raise WorkerError(problem)

    def _guard(self, act: Callable[[], None]) -> None:
        if not self.ok:
            return
        try:
            act()
        except Unavailable as reason:
            self.figures |= {"status": "skipped", "reason": str(reason)}
            self.close()
        except WorkerError as error:
            self.figures |= {"status": "failed", "reason": str(error)}
            self.close()


def _faster_than_its_device(
    seconds: Sequence[float], device_seconds: Sequence[float] | None
) -> str | None:
    """Why the host's clock cannot be right: the device took longer by its own, without copies."""
    if not device_seconds:
        return None
    host = float(np.quantile(seconds, 0.75))
    device = float(np.quantile(device_seconds, 0.25))
    if host >= LEAST_HOST_SHARE * device:
        return None
    return (
        f"calls take {host:.3g} s by the host's clock and {device:.3g} s by the device's: the "
        "runtime does not wait for the device, so its times would be of launches alone"
    )


def planned(manifest: dict[str, Any], chosen: Sequence[str] = ("cpu", "cuda")) -> list[Row]:
    """A row for each exported format and each of the ``chosen`` devices that it can run on."""
    return [
        Row(name, device, entry, manifest["class_names"])
        for name, entry in json.loads(json.dumps(manifest["formats"])).items()
        for device in formats.get(name).devices
        if device in chosen
    ]


def _other_settings(requested: dict[str, Any], effective: dict[str, Any]) -> str | None:
    """Why a row does not run as it was asked to, or None if it does."""
    for name, wanted in requested.items():
        if name in effective and effective[name] != wanted:
            return f"asked for {name} {wanted}, runs with {effective[name]}"
    return None
