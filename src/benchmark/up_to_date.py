"""A measurement that is there already, with its figures or without."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from src.benchmark.environment import description
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row import planned
from src.errors import UsageError
from src.run.circumstances import Environment, MeasuringOptions
from src.run.folder import Run
from src.run.results import Results
from src.run.rounds import Rounds
from src.run.row import RowFigures

# The hash of the test images that are there now; None where they cannot be read.
ScoredNow = Callable[[], str | None]


def find(run: Run, options: BenchmarkOptions, scored: ScoredNow) -> Results | None:
    """Return the latest measurement, if making it again would measure the same.

    That is the same files, by the bytes that are there now, scored on the same images, with the
    same options on the same machine, and no row that failed.

    Args:
        run: whose measurement.
        options: with which it would be made.
        scored: asked last, and only where all else is the same: it reads every test image.
    """
    if not run.benchmark.is_file():
        return None
    try:
        results = run.read_benchmark()
        has_failed = any(row.status == "failed" for row in results.rows)
        is_same = not has_failed and _is_of(results, results.rows, run, options, scored)
    except UsageError:
        return None  # it is of another version, or damaged, and is measured again
    return results if is_same else None


def find_rounds(run: Run, options: BenchmarkOptions, scored: ScoredNow) -> Rounds | None:
    """Return a measurement that was made to the end and has no figures, likewise.

    Its process ended while it made them. A row that failed stays so.
    """
    if not run.rounds.is_file():
        return None
    try:
        measured = run.read_rounds()
        rows = [row.figures for row in measured.rows]
        is_same = (
            measured.complete
            and measured.classes == len(run.read_manifest().class_names)
            and _is_of(measured, rows, run, options, scored)
        )
    except UsageError:
        return None
    return measured if is_same else None


def _is_of(
    measured: Results | Rounds,
    rows: Sequence[RowFigures],
    run: Run,
    options: BenchmarkOptions,
    scored: ScoredNow,
) -> bool:
    """Return True for a measurement of a run's present files and images, with these options."""
    manifest = run.read_manifest()
    hashes = {row.key: row.sha256 for row in rows}
    present = {
        (row.name, row.device): (
            row.files_now(run.exports).sha256 if row.ok else row.figures.sha256
        )
        for row in planned(manifest, options.devices)
    }
    return (
        measured.checkpoint == manifest.checkpoint
        and _decisive(measured.options) == _decisive(options.record())
        and len(hashes) == len(rows)
        and hashes == present
        and _machine(measured.environment)
        == _machine(description.describe(options.effective_threads))
        and measured.dataset.sha256 is not None  # else it does not say what was scored
        and scored() in {measured.dataset.sha256, None}
    )


def _decisive(options: MeasuringOptions) -> MeasuringOptions:
    return msgspec.structs.replace(options, again=None, strict=None)


def _machine(described: Environment) -> tuple[str, int, int, dict[str, str], str | None]:
    gpu = described.gpu.name if described.gpu else None
    return described.cpu, described.usable_cores, described.threads, described.packages, gpu
