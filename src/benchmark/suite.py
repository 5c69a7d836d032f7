"""The benchmark stage: all rows of a run, side by side, under the same conditions."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from src.benchmark import environment
from src.benchmark.options import BenchmarkOptions
from src.benchmark.process import Limits
from src.benchmark.row import Row, planned
from src.benchmark.schedule import Schedule
from src.console import Report
from src.data.split import Split
from src.errors import LightshipError, UsageError
from src.export import probe
from src.export.stage import PROBE
from src.runs import Run

_CHECKED: Split = "val"
_SCORED: Split = "test"


class EvaluationData(Protocol):
    """The data that rows are checked and scored on."""

    @property
    def dataset_name(self) -> str: ...

    def batches(
        self, split: Split, batch_size: int = 64
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """All of a split once, in order: images (n, 3, H, W) and labels (n,)."""


def measure(
    run: Run, data: EvaluationData, options: BenchmarkOptions, report: Report
) -> dict[str, Any]:
    """Measure every exported format of a run, and write ``benchmark.json``.

    Each row is loaded in a process of its own, checked (a file that does not give the trained
    network's answers fails and is not timed), scored on the test split, then timed in turns
    whose order rotates, so that the machine's drift hits all rows alike.

    Returns:
        The results, as they were written.

    Raises:
        UsageError: the run has nothing exported, or no format like ``options.baseline``.
    """
    manifest = run.read_manifest()
    rows = planned(manifest)
    if not any(row.name == options.baseline for row in rows):
        raise UsageError(
            "benchmark.baseline",
            expected=f"one of the exported formats {', '.join(manifest['formats'])}",
            found=options.baseline,
            remedy="export it, or name another baseline",
        )
    started = time.monotonic()
    try:
        _start(rows, run, options, report)
        schedule = Schedule(rows, options, report)
        _check(rows, data, schedule, report)
        images = _score(rows, data, schedule, report)
        schedule.run(_timing_batches(data, options.batch_sizes))
        finished = [
            row.finish(schedule.baseline_of(row), schedule.counterpart_of(row)) for row in rows
        ]
    finally:
        for row in rows:
            row.close()
    results = {
        "schema_version": 1,
        **{key: manifest[key] for key in _FROM_MANIFEST},
        "measured_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "measured_seconds": time.monotonic() - started,
        "options": dataclasses.asdict(options),
        "dataset": {"name": data.dataset_name, "split": _SCORED, "images": images},
        "environment": environment.describe(options.effective_threads),
        "baseline": options.baseline,
        "rows": finished,
    }
    where = results["environment"]["gpu"] or {"name": results["environment"]["cpu"]}
    run.write_benchmark(results, f"{where['name']} {options.effective_threads} threads")
    return results


_FROM_MANIFEST = (
    "run",
    "model",
    "parameters",
    "macs",
    "input_shape",
    "num_classes",
    "class_names",
    "checkpoint",
    "calibration",
)


def require_success(results: dict[str, Any], options: BenchmarkOptions) -> None:
    """With ``options.strict``, turn failed rows into the command's failure.

    Raises:
        LightshipError: rows failed.
    """
    failed = [
        f"{row['format']} on {row['device']}"
        for row in results["rows"]
        if row["status"] == "failed"
    ]
    if options.strict and failed:
        raise LightshipError(
            f"benchmark.strict: {len(failed)} rows failed ({', '.join(failed)}); all figures are "
            "in benchmark.json, the reasons in report.md"
        )


def _start(rows: Sequence[Row], run: Run, options: BenchmarkOptions, report: Report) -> None:
    known = probe.read(run.require(run.exports / PROBE, f"run python -m src.export {run.folder}"))
    limits = Limits(options.effective_threads, options.timeout_seconds, options.memory_limit)
    for number, row in enumerate(rows):
        report("loading", f"{row.name} on {row.device}", number, len(rows))
        row.start(run.exports, limits, known)


def _check(rows: Sequence[Row], data: EvaluationData, schedule: Schedule, report: Report) -> None:
    for number, (images, _) in enumerate(data.batches(_CHECKED)):
        report("checking against the baseline", f"validation batch {number + 1}")
        for row in rows:
            row.predict(_CHECKED, images)
    for row in rows:
        baseline = schedule.baseline_of(row)
        if baseline is not None and baseline.ok:
            row.compare(_CHECKED, baseline)


def _score(rows: Sequence[Row], data: EvaluationData, schedule: Schedule, report: Report) -> int:
    targets = []
    for number, (images, labels) in enumerate(data.batches(_SCORED)):
        report("scoring", f"test batch {number + 1}")
        targets.append(labels)
        for row in rows:
            row.predict(_SCORED, images)
    labels = np.concatenate(targets)
    for row in rows:
        row.score(_SCORED, labels, schedule.baseline_of(row))
    return len(labels)


def _timing_batches(data: EvaluationData, sizes: Sequence[int]) -> list[NDArray[np.float32]]:
    """Real images of the validation split, repeated where a batch wants more than there are."""
    images, _ = next(data.batches(_CHECKED, batch_size=max(sizes)))
    return [np.resize(images, (size, *images.shape[1:])) for size in sizes]
