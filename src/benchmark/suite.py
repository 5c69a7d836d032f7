"""The benchmark stage: measures all rows of a run together, under the same conditions."""

from __future__ import annotations

import datetime as dt
import functools
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from src.benchmark import memory, older_processors, pipeline_files, results, up_to_date
from src.benchmark.calibration_leakage import CalibrationLeakage
from src.benchmark.concurrency import run_concurrently
from src.benchmark.environment import description
from src.benchmark.evaluation_data import EvaluationData
from src.benchmark.flipped import FlippedImages
from src.benchmark.options import BenchmarkOptions
from src.benchmark.plan import planned_with_baseline
from src.benchmark.reference import reference_of
from src.benchmark.row import Row
from src.benchmark.row_pipeline import PipelineFiles
from src.benchmark.schedule import Schedule
from src.data.pipeline.split import Split
from src.errors import LightshipError, UsageError
from src.run import class_names, kept_rounds
from src.run.call_size import EVALUATION_BATCH
from src.run.circumstances import Environment
from src.run.facts import ScoredDataset
from src.run.folder import Run
from src.run.kept_rounds import KeptRounds
from src.run.manifest import Manifest
from src.run.results import VERSION, Results
from src.run.rounds import Rounds
from src.run.row import RowFigures
from src.system.console import Report
from src.system.project_commands import typed
from src.worker.guarded_process import Limits

Images = NDArray[np.float32]

_CHECKED: Split = "val"
_SCORED: Split = "test"


def measure_unless_done(
    run: Run,
    data: EvaluationData,
    options: BenchmarkOptions,
    report: Report,
    command: str | None = None,
) -> Results:
    """Return the measurement of the present files and test images with these options and machine.

    It is made if there is none yet, or if a row failed in the last one. All rows are measured
    again: rows are timed together, so a single row cannot be added later. Another objective changes
    only the recommendation.

    Args: see :func:`measure`.

    Raises:
        UsageError: see :func:`measure`.
    """
    command = command or _plain_command(run)
    scored = functools.cache(lambda: _sha256_if_readable(data, report))
    kept = None if options.again else up_to_date.find_rounds(run, options, scored)
    latest = None if options.again else up_to_date.find(run, options, scored)
    if kept and (latest is None or latest.measured_at < kept.record.measured_at):
        report(f"measured already, at {kept.record.measured_at}; its figures are made now")
        return results.from_rounds(run, kept, options, report, command)
    if latest is None:
        return measure(run, data, options, report, command=command)
    again = f"{command} again=true"
    report(f"measured already, at {latest.measured_at}; {again} measures once more")
    return results.with_objective(run, latest, options)


def measure(
    run: Run,
    data: EvaluationData,
    options: BenchmarkOptions,
    report: Report,
    timing: AbstractContextManager[Any] | None = None,
    command: str | None = None,
) -> Results:
    """Measure every exported format of a run, and write ``benchmark.json``.

    ``rounds.json`` has the raw measurement until then: see :func:`measure_unless_done`.

    Each row is loaded in its own process and checked: a file that does not give the trained
    network's logits fails and is not timed. Then it is scored on the test split and timed in turns
    whose order rotates, so that the drift of the machine affects all rows alike.

    Args:
        run: a run with exported files.
        data: images that the files are checked and scored on.
        options: options of the measurement.
        report: gets the progress.
        timing: context in which rows are timed. With a shared lock, several measurements load and
            score their files at the same time, and time them one after the other.
        command: goes on with this measurement, without ``again=true``; by default that of the run,
            with the options of its training.

    Returns:
        The results as they were written.

    Raises:
        UsageError: nothing was exported, the format ``options.baseline`` was not exported, the
            data have other classes, or the run was calibrated on the images that it is scored on.
    """
    command = command or _plain_command(run)
    manifest = run.read_manifest()
    class_names.require_same(manifest.class_names, data.class_names)
    rows = planned_with_baseline(manifest, options)
    described = description.describe(options.effective_threads)
    limits = Limits(options.effective_threads, options.timeout_seconds, options.memory_limit)
    started = time.monotonic()
    leakage = CalibrationLeakage(manifest.calibration.images_sha256, _SCORED)
    try:
        _start(rows, run, manifest, options.loads_at_once, limits, report)
        schedule = Schedule(rows, options, report)
        _check(rows, data, schedule, report)
        scored = data.sha256(_SCORED)  # before the timing, after which the images may be gone
        thumbnails = FlippedImages(run.flipped, manifest.preprocessing, scored)
        files = pipeline_files.chosen(data, _SCORED, manifest.preprocessing, options)
        pipeline_files.start_embedded(rows, files, run.exports, limits)
        with older_processors.answering(rows, run.exports, limits, options.also_as, report):
            images = _score(rows, data, schedule, thumbnails, leakage, files, report)
        leakage.require_none()
        batches = timing_batches(data, options.batch_sizes)
        if options.memory:
            memory.plan(rows, batches)
        with timing or nullcontext():
            schedule.run(batches, files)
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
        if files is not None:
            timed = pipeline_files.timed_sample(rows, files)
            measured = msgspec.structs.replace(measured, image_sample=timed)
        kept_rounds.set_aside(run)
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
        kept = KeptRounds(run.rounds, measured)
        return results.write_figures(run, kept, rows, schedule, options, command)
    finally:
        for row in rows:
            row.close()


def _plain_command(run: Run) -> str:
    """Return the command that measures a run with the options of its training."""
    return f"{typed('src.benchmark')} {run.quoted}"


def _rounds(
    manifest: Manifest,
    rows: Sequence[Row],
    options: BenchmarkOptions,
    environment: Environment,
    dataset: ScoredDataset,
    seconds: float,
) -> Rounds:
    """Return the record of a measurement after its timing, while its processes still run."""
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
    """Raise an error if ``options.strict`` is set and a row failed.

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
    """Return the hash of the test images; report it and return None if they cannot be read."""
    try:
        return data.sha256(_SCORED)
    except UsageError as error:
        # The images may be on a disk that is not mounted. The measurement stays valid.
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
    """Load every row and check it against the reference outputs.

    Raises:
        UsageError: see :func:`reference_of`.
    """
    reference = reference_of(run, manifest)

    def load(number: int, row: Row) -> None:
        report("loading", f"{row.name} on {row.device}", number, len(rows))
        row.start(run.exports, limits, reference)

    run_concurrently([partial(load, number, row) for number, row in enumerate(rows)], at_once)


def _answers(
    rows: Sequence[Row], schedule: Schedule, images: Images
) -> Iterator[tuple[Row, Images, Images | None]]:
    """Yield each ok row with its logits and those of its baseline (None without one)."""
    logits = {row: row.predict(images) for row in rows}
    for row, row_logits in logits.items():
        baseline = schedule.reference_of(row)
        if row_logits is not None:
            yield row, row_logits, logits[baseline] if baseline else None


def _check(rows: Sequence[Row], data: EvaluationData, schedule: Schedule, report: Report) -> None:
    """Compare the logits of every row with the baseline's on the validation split."""
    total, done = data.count(_CHECKED), 0
    for images, _ in data.batches(_CHECKED, EVALUATION_BATCH):
        report("checking against the baseline", f"{done} of {total} images", done, total)
        for row, logits, baseline in _answers(rows, schedule, images):
            if baseline is not None:
                row.require_agreement(logits, baseline)
        done += len(images)


def _score(
    rows: Sequence[Row],
    data: EvaluationData,
    schedule: Schedule,
    thumbnails: FlippedImages,
    leakage: CalibrationLeakage,
    files: PipelineFiles | None,
    report: Report,
) -> int:
    """Score every row on the test split, and return the number of images."""
    total, done = data.count(_SCORED), 0
    for images, labels in data.batches(_SCORED, EVALUATION_BATCH):
        report("scoring", f"{done} of {total} images", done, total)
        leakage.add(images)
        positions = range(done, done + len(images))
        decoded = pipeline_files.decoded(data, _SCORED, files, positions, images)
        contents = pipeline_files.contents_for(rows, data, _SCORED, positions)
        for row, logits, baseline in _answers(rows, schedule, images):
            row.scorecard.add(logits, labels, baseline)
            row.instruction_sets.add(images, logits, baseline, labels, positions.stop / total)
            pipeline_files.add_answers(row, decoded, logits, baseline, labels)
            row.embedded.add(contents, logits, baseline, labels)
            if baseline is not None:
                thumbnails.keep(images, logits.argmax(axis=1) != baseline.argmax(axis=1), done)
        done += len(images)
    return done


def timing_batches(data: EvaluationData, sizes: Sequence[int]) -> list[NDArray[np.float32]]:
    """Return one batch of validation images per size, repeated if the split has fewer images."""
    images, _ = next(data.batches(_CHECKED, batch_size=max(sizes)))
    return [np.resize(images, (size, *images.shape[1:])) for size in sizes]
