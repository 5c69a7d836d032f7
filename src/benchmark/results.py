"""From what was measured to the figures of ``benchmark.json``, in a step that can be repeated."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from src.benchmark import training_curves
from src.benchmark.options import BenchmarkOptions
from src.benchmark.recommendation import recommend
from src.benchmark.row import Row, planned
from src.benchmark.schedule import Schedule
from src.benchmark.statistics.departure import BOUNDS
from src.errors import UsageError
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.reading import convert
from src.run.record import Wrong
from src.run.results import VERSION, Results
from src.run.rounds import Rounds
from src.system.console import Report

_FROM_MANIFEST = (
    "run",
    "model",
    "parameters",
    "macs",
    "input_shape",
    "num_classes",
    "class_names",
    "preprocessing",
    "origin",
    "checkpoint",
    "calibration",
    "health",
)
_FROM_RECORD = (
    "measured_at",
    "measured_seconds",
    "options",
    "dataset",
    "environment",
)


def keep_rounds(run: Run, rows: Sequence[Row], record: dict[str, Any]) -> None:
    """Write all that was measured, before anything is derived from it: see ``src/shapes``."""
    content = {"schema_version": VERSION, **record, "rows": [row.raw() for row in rows]}
    run.write_rounds(convert(content, Rounds))


def from_rounds(
    run: Run, record: dict[str, Any], options: BenchmarkOptions, report: Report
) -> dict[str, Any]:
    """The figures of a measurement whose process ended before it had made them.

    Raises:
        UsageError: they are not what a reader expects, as of a file that was changed.
    """
    rows = planned(as_dict(run.read_manifest()), options.devices)
    kept = {(row["figures"]["format"], row["figures"]["device"]): row for row in record["rows"]}
    for row in rows:
        row.restore(kept[row.name, row.device])
    try:
        return with_figures(run, record, rows, Schedule(rows, options, report), options)
    except Wrong as wrong:
        raise UsageError(
            str(run.rounds),
            expected=wrong.expected,
            found=wrong.found,
            remedy="measure again, with benchmark.again=true",
        ) from wrong


def with_figures(
    run: Run,
    record: dict[str, Any],
    rows: Sequence[Row],
    schedule: Schedule,
    options: BenchmarkOptions,
) -> dict[str, Any]:
    """Make all figures of what was measured and kept, and write them.

    Args:
        run: gets ``benchmark.json``; its ``rounds.json`` goes.
        record: what was measured beside the rows.
        rows: measured, or restored.
        schedule: knows what each row is compared with.
        options: as it was measured.

    Raises:
        Wrong: the result is not what its readers expect; nothing is written.
    """
    with _telling_of_rounds(run):
        results = convert(_derived(run, record, rows, schedule, options), Results)
        machine = f"{results.environment.processor} {options.effective_threads} threads"
        run.write_benchmark(results, machine)
    run.rounds.unlink(missing_ok=True)
    return as_dict(results)


def _derived(
    run: Run,
    record: dict[str, Any],
    rows: Sequence[Row],
    schedule: Schedule,
    options: BenchmarkOptions,
) -> dict[str, Any]:
    manifest = as_dict(run.read_manifest())
    traces = run.inference_traces if options.trace else None
    if traces is not None:
        traces.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "schema_version": VERSION,
        **{key: manifest.get(key) for key in _FROM_MANIFEST},
        "command": run.read_command(),
        "training": training_curves.read(run.folder),
        **{key: record[key] for key in _FROM_RECORD},
        "baseline": options.baseline,
        "function_bounds": BOUNDS,
        "rows": [
            row.finish(
                schedule.baseline_of(row),
                schedule.counterpart_of(row),
                options.max_accuracy_drop,
                traces,
            )
            for row in rows
        ],
    }
    results["recommendation"] = {
        device: recommend(results, device, options.objective)
        for device in dict.fromkeys(row.device for row in rows if row.ok)
    }
    results["recommended"] = {
        device: advice["format"] for device, advice in results["recommendation"].items()
    }
    return results


@contextlib.contextmanager
def _telling_of_rounds(run: Run) -> Iterator[None]:
    """Let an error say where the measurement is, and how to go on."""
    try:
        yield
    except Exception as error:
        error.add_note(
            f"nothing that was measured is lost: it is in {run.rounds}, and "
            f"python -m src.benchmark {run.quoted} goes on from there"
        )
        raise
