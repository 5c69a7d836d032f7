"""One row: a format on a device, from its start to its last figure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from src import formats
from src.benchmark import fidelity
from src.benchmark.latency import speedup, summarize
from src.benchmark.process import WorkerError, WorkerProcess
from src.formats.base import Unavailable

Images = NDArray[np.float32]


class Row:
    """A format on a device. What fails in it stays in it: ``status`` and ``reason`` say so.

    Args:
        name: the format.
        device: ``cpu`` or ``cuda``.
        entry: the format's entry in the manifest.
    """

    def __init__(self, name: str, device: str, entry: dict[str, Any]) -> None:
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
            "export_seconds": entry.get("export_seconds"),
            "latency": [],
            "accuracy": None,
        }
        self._worker: WorkerProcess | None = None
        self.rounds: dict[int, list[list[float]]] = {}  # by batch size
        self._predictions: dict[str, list[Images]] = {}  # by split

    @property
    def ok(self) -> bool:
        return bool(self.figures["status"] == "ok")

    def start(
        self, exports: Path, threads: int, timeout: float, probe: tuple[Images, Images]
    ) -> None:
        """Load the file in a process of its own, and check it against the trained network."""

        def act() -> None:
            folder = exports / self.name
            self._worker = WorkerProcess(self.name, folder, self.device, threads, timeout)
            self.figures |= self._worker.ask("load")
            self.figures |= self._worker.ask("hold", probe[0][:1])
            self._fail_if(
                fidelity.what_is_wrong(self._worker.predict(probe[0]), probe[1], self.tolerance)
            )

        self._guard(act)

    def predict(self, split: str, images: Images) -> None:
        """Keep the logits for one more batch of a split."""

        def act() -> None:
            logits = self._alive().predict(images)
            self._predictions.setdefault(split, []).append(logits)

        self._guard(act)

    def logits(self, split: str) -> fidelity.Logits:
        """The logits of all batches of a split so far: (n, K)."""
        return np.concatenate(self._predictions[split])

    def compare(self, split: str, baseline: Row) -> None:
        """Fail unless the logits of ``split`` are those of the baseline, as far as due."""
        self._guard(
            lambda: self._fail_if(
                fidelity.what_is_wrong(self.logits(split), baseline.logits(split), self.tolerance)
            )
        )

    def score(self, split: str, targets: fidelity.Labels, baseline: Row | None) -> None:
        """Accuracy on a split, and what changed from the baseline."""

        def act() -> None:
            before = baseline.logits(split) if baseline else None
            self.figures["accuracy"] = fidelity.accuracy(self.logits(split), targets, before)

        self._guard(act)

    def time(
        self,
        images: Images,
        *,
        first: bool,
        samples: int,
        warmup_seconds: float,
        max_seconds: float,
    ) -> None:
        """One turn at timing a batch; the first turn hands it over."""

        def act() -> None:
            if first:
                self._alive().ask("hold", images)
            answer = self._alive().ask(
                "time", samples=samples, warmup_seconds=warmup_seconds, max_seconds=max_seconds
            )
            self.rounds.setdefault(len(images), []).append(answer["seconds"])

        self._guard(act)

    def finish(self, baseline: Row | None) -> dict[str, Any]:
        """Every figure of this row; its process ends."""
        if self.ok:
            self._guard(lambda: self.figures.update(self._alive().ask("memory")))
        if self.ok:
            for size, rounds in self.rounds.items():
                cell = summarize(size, rounds)
                if baseline is not None and size in baseline.rounds:
                    cell["speedup"] = speedup(baseline.rounds[size], rounds).to_dict()
                self.figures["latency"].append(cell)
        self.close()
        return self.figures

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


def planned(manifest: dict[str, Any]) -> list[Row]:
    """A row for each exported format and each device that it can run on."""
    return [
        Row(name, device, entry)
        for name, entry in json.loads(json.dumps(manifest["formats"])).items()
        for device in formats.get(name).devices
    ]
