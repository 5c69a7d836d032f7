"""Computation of the figures of ``benchmark.json`` from raw measurements; it can be repeated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from src.benchmark import training_curves, up_to_date
from src.benchmark.options import BenchmarkOptions
from src.benchmark.plan import planned
from src.benchmark.recommendation import recommend
from src.benchmark.row import Row
from src.benchmark.schedule import Schedule
from src.benchmark.statistics.departure import BOUNDS
from src.errors import UsageError
from src.run import reading
from src.run.circumstances import MeasuringOptions
from src.run.facts import Calibration
from src.run.folder import Run
from src.run.kept_rounds import KeptRounds
from src.run.layout import as_dict
from src.run.pipeline import ImageSample
from src.run.record import Device, InvalidValueError
from src.run.results import VERSION, Recommendation, Results
from src.run.rounds import Rounds
from src.run.row import Row as RowFigures
from src.system import atomic_files
from src.system.console import Report
from src.system.signals import Stopped


def from_rounds(
    run: Run, kept: KeptRounds, options: BenchmarkOptions, report: Report, command: str
) -> Results:
    """Compute the figures of a measurement whose process ended before it did so.

    Args: see :func:`write_figures`.

    Raises:
        UsageError: a figure is not as readers expect, because the file was changed.
    """
    rows = planned(run.read_manifest(), options.measured_devices)
    measured_rows = {row.figures.key: row for row in kept.record.rows}
    for row in rows:
        row.restore(measured_rows[row.name, row.device])
    try:
        schedule = Schedule(rows, options, report)
        return write_figures(run, kept, rows, schedule, options, command)
    except InvalidValueError as error:
        raise UsageError(
            str(kept.file),
            expected=error.expected,
            found=error.found,
            remedy=f"measure again: {command} again=true",
        ) from error


def write_figures(
    run: Run,
    kept: KeptRounds,
    rows: Sequence[Row],
    schedule: Schedule,
    options: BenchmarkOptions,
    command: str,
) -> Results:
    """Compute all figures of a measurement and write them.

    Args:
        run: gets ``benchmark.json``.
        kept: the raw measurement, which also gives the machine, data set and time. Its file is
            removed, and so are earlier ones under the same conditions.
        rows: rows that were measured, or restored from ``kept``.
        schedule: gives the rows that each row is compared with.
        options: options of the measurement.
        command: goes on with the measurement, without ``again=true``.

    Raises:
        InvalidValueError: a figure is not as readers expect; nothing is written.
    """
    with _noting_rounds(kept.file, command):
        traces = _folder_of_traces(run, options)
        finished = [
            row.finish(
                schedule.baseline_of(row),
                schedule.counterpart_of(row),
                options.max_accuracy_drop,
                traces,
            )
            for row in rows
        ]
        results = _results(run, kept.record, finished, options)
        machine = f"{results.environment.processor} {options.effective_threads} threads"
        run.write_benchmark(results, machine)
    up_to_date.remove_rounds(run, kept)
    return results


def with_objective(run: Run, results: Results, options: BenchmarkOptions) -> Results:
    """Return a measurement with the recommendation by the objective of ``options``.

    Nothing is measured for it. A recommendation by another objective is replaced in
    ``benchmark.json``; the file in ``measurements/`` stays as it was.
    """
    if results.options.objective == options.objective:
        return results
    advice = _recommendation(results.rows, options, results.image_sample)
    decided = msgspec.structs.replace(
        results,
        options=_with_present(results.options, options),
        recommendation=advice,
        recommended=_names(advice),
    )
    reading.require_readable(decided)
    atomic_files.write_json(run.benchmark, as_dict(decided))
    return decided


def _with_present(measured: MeasuringOptions, options: BenchmarkOptions) -> MeasuringOptions:
    """Return the options of a measurement with the present one that needs no measurement."""
    return msgspec.structs.replace(measured, objective=options.objective)


def _recommendation(
    rows: Sequence[RowFigures], options: BenchmarkOptions, images: ImageSample | None
) -> dict[Device, Recommendation]:
    """Return the recommendation for each device that has rows."""
    return {
        device: recommend(rows, options.baseline, device, options.objective, images)
        for device in dict.fromkeys(row.device for row in rows if row.is_ok)
    }


def _names(advice: dict[Device, Recommendation]) -> dict[str, str | None]:
    return {device: entry.format for device, entry in advice.items()}


def _results(
    run: Run, measured: Rounds, finished: list[RowFigures], options: BenchmarkOptions
) -> Results:
    manifest = run.read_manifest()
    recommendation = _recommendation(finished, options, measured.image_sample)
    return Results(
        schema_version=VERSION,
        run=manifest.run,
        model=manifest.model,
        parameters=manifest.parameters,
        macs=manifest.macs,
        input_shape=manifest.input_shape,
        num_classes=manifest.num_classes,
        class_names=manifest.class_names,
        preprocessing=manifest.preprocessing,
        origin=manifest.origin,
        checkpoint=manifest.checkpoint,
        calibration=Calibration(
            split=manifest.calibration.split,
            images=manifest.calibration.images,
            images_sha256=manifest.calibration.images_sha256,
        ),
        health=manifest.health,
        twin=manifest.twin,
        command=run.read_command(),
        training=training_curves.read(run.folder),
        measured_at=measured.measured_at,
        measured_seconds=measured.measured_seconds,
        options=_with_present(measured.options, options),
        dataset=measured.dataset,
        image_sample=measured.image_sample,
        environment=measured.environment,
        baseline=options.baseline,
        function_bounds=BOUNDS,
        rows=finished,
        recommendation=recommendation,
        recommended=_names(recommendation),
    )


def _folder_of_traces(run: Run, options: BenchmarkOptions) -> Path | None:
    if not options.trace:
        return None
    run.inference_traces.mkdir(parents=True, exist_ok=True)
    return run.inference_traces


@contextlib.contextmanager
def _noting_rounds(file: Path, command: str) -> Iterator[None]:
    """Add a note to errors that says where the raw measurement is and how to continue.

    A signal gets the first half: the command that it stops knows how to go on.
    """
    note = f"nothing that was measured is lost: it is in {file}"
    try:
        yield
    except Stopped as stopped:
        stopped.details = "; ".join(part for part in (stopped.details, note) if part)
        raise
    except Exception as error:
        error.add_note(f"{note}, and {command} goes on from there")
        raise
