"""The benchmark stage: all rows of a run, side by side, under the same conditions."""

from __future__ import annotations

import datetime as dt
import functools
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from src.benchmark import memory, results, up_to_date
from src.benchmark.calibration_leakage import CalibrationLeakage
from src.benchmark.concurrency import run_together
from src.benchmark.environment import description
from src.benchmark.flipped import FlippedPictures
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row import Row, planned
from src.benchmark.schedule import Schedule
from src.data.pipeline.split import Split
from src.errors import LightshipError, UsageError
from src.export import reference_outputs
from src.export.stage import PROBE
from src.run import fingerprint
from src.run.circumstances import Environment
from src.run.facts import ScoredDataset
from src.run.folder import Run
from src.run.manifest import Manifest
from src.run.results import VERSION, Results
from src.run.rounds import Rounds
from src.run.row import RowFigures
from src.system.console import Report
from src.worker.process import EVALUATION_BATCH, Limits

Images = NDArray[np.float32]

_CHECKED: Split = "val"
_SCORED: Split = "test"


class EvaluationData(Protocol):
    """The data that rows are checked and scored on."""

    @property
    def dataset_name(self) -> str: ...

    def count(self, split: Split) -> int:
        """Return the number of images of a split."""

    def batches(
        self, split: Split, batch_size: int = 64
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """All of a split once, in order: images (n, 3, H, W) and labels (n,)."""

    def sha256(self, split: Split) -> str:
        """A hash of a split's images and labels, before any preprocessing."""


def measure_unless_done(
    run: Run, data: EvaluationData, options: BenchmarkOptions, report: Report
) -> Results:
    """Return the measurement of the present files and test images, with these options, here.

    It is made if there is none, or one in which a row failed. A measurement is whole or absent:
    its rows are timed side by side, so none of them can be added later.

    Raises:
        UsageError: see :func:`measure`.
    """
    scored = functools.cache(lambda: _sha256_if_readable(data, report))
    measured = None if options.again else up_to_date.find_rounds(run, options, scored)
    if measured is not None:
        report(f"measured already, at {measured.measured_at}; its figures are made now")
        return results.from_rounds(run, measured, options, report)
    present = None if options.again else up_to_date.find(run, options, scored)
    if present is None:
        return measure(run, data, options, report)
    report(f"measured already, at {present.measured_at}; benchmark.again=true measures once more")
    return present


def measure(
    run: Run,
    data: EvaluationData,
    options: BenchmarkOptions,
    report: Report,
    timing: AbstractContextManager[Any] | None = None,
) -> Results:
    """Measure every exported format of a run, and write ``benchmark.json``.

    What was measured is in ``rounds.json`` before a figure is made of it, and goes when
    ``benchmark.json`` has all of it: see :func:`measure_unless_done`.

    Each row is loaded in a process of its own, checked (a file that does not give the trained
    network's answers fails and is not timed), scored on the test split, then timed in turns
    whose order rotates, so that the machine's drift hits all rows alike.

    Args:
        run: with exported files.
        data: what they are checked and scored on.
        options: how to measure.
        report: told what comes next.
        timing: entered while rows are timed. A lock that several measurements share lets them load
            and score their files at once and time them one after another.

    Returns:
        The results, as they were written.

    Raises:
        UsageError: the run has nothing exported, or no format like ``options.baseline``, or it
            was calibrated on the images that it is scored on.
    """
    manifest = run.read_manifest()
    rows = planned(manifest, options.devices)
    if not any(row.name == options.baseline for row in rows):
        raise UsageError(
            "benchmark.baseline",
            expected=f"one of the exported formats {', '.join(manifest.formats)}",
            found=options.baseline,
            remedy="export it, or name another baseline",
        )
    described = description.describe(options.effective_threads)
    limits = Limits(options.effective_threads, options.timeout_seconds, options.memory_limit)
    started = time.monotonic()
    pictures = FlippedPictures(run.flipped, manifest.preprocessing)
    leakage = CalibrationLeakage(manifest.calibration.images_sha256, _SCORED)
    try:
        _start(rows, run, manifest, options.loads_at_once, limits, report)
        schedule = Schedule(rows, options, report)
        _check(rows, data, schedule, report)
        scored = data.sha256(_SCORED)  # now, as images may be gone when all is timed
        images = _score(rows, data, schedule, pictures, leakage, report)
        leakage.require_none()
        batches = _timing_batches(data, options.batch_sizes)
        with timing or nullcontext():
            schedule.run(batches)
            if options.memory:
                memory.measure(rows, batches, run.exports, limits, report)
        dataset = ScoredDataset(
            name=data.dataset_name,
            split=_SCORED,
            images=images,
            sha256=scored,
            also_in_calibration=leakage.count,
        )
        measured = _rounds(manifest, rows, options, described, dataset, time.monotonic() - started)
        run.write_rounds(measured)
        for row in rows:
            row.end_timing()
        measured = msgspec.structs.replace(
            measured,
            complete=True,
            measured_seconds=time.monotonic() - started,
            rows=[row.raw() for row in rows],
        )
        run.write_rounds(measured)
        return results.with_figures(run, measured, rows, schedule, options)
    finally:
        for row in rows:
            row.close()


def _rounds(
    manifest: Manifest,
    rows: Sequence[Row],
    options: BenchmarkOptions,
    environment: Environment,
    dataset: ScoredDataset,
    seconds: float,
) -> Rounds:
    """Return the record of a measurement whose timing is over but whose processes still run."""
    return Rounds(
        schema_version=VERSION,
        checkpoint=manifest.checkpoint,
        classes=len(manifest.class_names),
        options=options.record(),
        environment=environment,
        measured_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        measured_seconds=seconds,
        dataset=dataset,
        complete=False,
        rows=[row.raw() for row in rows],
    )


def require_success(rows: Sequence[RowFigures], options: BenchmarkOptions) -> None:
    """Turn failed rows into the command's failure, with ``options.strict``.

    Raises:
        LightshipError: rows failed.
    """
    failed = [f"{row.format} on {row.device}" for row in rows if row.status == "failed"]
    if options.strict and failed:
        raise LightshipError(
            f"benchmark.strict: {len(failed)} rows failed ({', '.join(failed)}); all figures are "
            "in benchmark.json, the reasons in report.md"
        )


def _sha256_if_readable(data: EvaluationData, report: Report) -> str | None:
    """Return the hash of the test images; None, and say so, where they cannot be read any more."""
    try:
        return data.sha256(_SCORED)
    except UsageError as error:
        # What was measured is not lost with the images: they may be on another disk.
        report(f"the {_SCORED} images are taken to be those that were scored: {error}")
        return None


def _start(
    rows: Sequence[Row],
    run: Run,
    manifest: Manifest,
    at_once: int,
    limits: Limits,
    report: Report,
) -> None:
    path = run.require(run.own("exports", PROBE), f"run python -m src.export {run.quoted}")
    written = manifest.probe_files
    if written and not fingerprint.is_as_written(run.exports, written):
        raise UsageError(
            str(path),
            expected="the images and logits that the export wrote",
            found="another file",
            remedy=f"run python -m src.export {run.quoted}",
        )
    known = reference_outputs.read(path)

    def load(number: int, row: Row) -> None:
        report("loading", f"{row.name} on {row.device}", number, len(rows))
        row.start(run.exports, limits, known)

    run_together([partial(load, number, row) for number, row in enumerate(rows)], at_once)


def _answers(
    rows: Sequence[Row], schedule: Schedule, images: Images
) -> Iterator[tuple[Row, Images, Images | None]]:
    """Yield each row's logits for a batch, with those of its baseline, if there are any."""
    logits = {row: row.predict(images) for row in rows}
    for row, ours in logits.items():
        baseline = schedule.reference_of(row)
        if ours is not None:
            yield row, ours, logits[baseline] if baseline else None


def _check(rows: Sequence[Row], data: EvaluationData, schedule: Schedule, report: Report) -> None:
    total, done = data.count(_CHECKED), 0
    for images, _ in data.batches(_CHECKED, EVALUATION_BATCH):
        report("checking against the baseline", f"{done} of {total} images", done, total)
        for row, logits, baseline in _answers(rows, schedule, images):
            if baseline is not None:
                row.require_same(logits, baseline)
        done += len(images)


def _score(
    rows: Sequence[Row],
    data: EvaluationData,
    schedule: Schedule,
    pictures: FlippedPictures,
    leakage: CalibrationLeakage,
    report: Report,
) -> int:
    total, done = data.count(_SCORED), 0
    for images, labels in data.batches(_SCORED, EVALUATION_BATCH):
        report("scoring", f"{done} of {total} images", done, total)
        leakage.add(images)
        for row, logits, baseline in _answers(rows, schedule, images):
            row.scorecard.add(logits, labels, baseline)
            if baseline is not None:
                pictures.keep(images, logits.argmax(axis=1) != baseline.argmax(axis=1), done)
        done += len(images)
    return done


def _timing_batches(data: EvaluationData, sizes: Sequence[int]) -> list[NDArray[np.float32]]:
    """Real images of the validation split, repeated where a batch wants more than there are."""
    images, _ = next(data.batches(_CHECKED, batch_size=max(sizes)))
    return [np.resize(images, (size, *images.shape[1:])) for size in sizes]
