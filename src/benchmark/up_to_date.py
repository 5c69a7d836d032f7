"""Search for a measurement that is still up to date, with or without its figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from src import formats
from src.backends.base import Unavailable
from src.backends.browser import packages
from src.benchmark.environment import description
from src.benchmark.options import BenchmarkOptions
from src.benchmark.plan import planned
from src.benchmark.row_instruction_sets import can_be_tried
from src.errors import UsageError
from src.run import fingerprint, kept_rounds
from src.run.circumstances import Environment, MeasuringOptions
from src.run.embedded import EmbeddedFigures, RawEmbedded
from src.run.folder import Run
from src.run.kept_rounds import KeptRounds
from src.run.results import Results
from src.run.rounds import Rounds
from src.run.row import RowFigures

# Returns the hash of the present test images; None if they cannot be read.
ScoredNow = Callable[[], str | None]


def find(run: Run, options: BenchmarkOptions, scored: ScoredNow) -> Results | None:
    """Return the latest measurement if measuring again would measure the same; else None.

    It is the same if the files have the same bytes, and the test images, options, packages and
    machine are the same. A measurement with a failed row is not returned, nor one that lacks the
    answers with an instruction set, or the rows of a browser, that can be tried now.

    Args:
        run: the run.
        options: options of the new measurement.
        scored: called last, and only if everything else is the same, as it reads every test image.
    """
    if not run.benchmark.is_file():
        return None
    try:
        results = run.read_benchmark()
        has_failed = any(_has_failed(row) for row in results.rows)
        is_same = (
            not has_failed
            and _has_embedded(
                {row.key: row.embedded for row in results.rows if row.is_ok}, run, options
            )
            and _is_of(results, results.rows, run, options, scored)
        )
    except UsageError:
        return None  # of another version or damaged: it is measured again
    return results if is_same else None


def find_rounds(run: Run, options: BenchmarkOptions, scored: ScoredNow) -> KeptRounds | None:
    """Return the latest complete measurement without figures under the same conditions; else None.

    Its process ended while it computed the figures. Failed rows are kept as they are.
    """
    for file in kept_rounds.files(run):
        if (measured := _rounds_if_same(run, file, options, scored)) is not None:
            return KeptRounds(file, measured)
    return None


def remove_rounds(run: Run, kept: KeptRounds) -> None:
    """Remove a raw measurement whose figures are made, and earlier ones that they stand for too."""
    conditions = _conditions(kept.record)
    for file in kept_rounds.files(run):
        try:
            same = file == kept.file or _conditions(run.read_rounds(file)) == conditions
        except UsageError:
            continue  # of another version or damaged
        if same:
            file.unlink(missing_ok=True)


def _conditions(measured: Rounds) -> tuple[object, ...]:
    """Return all conditions of a measurement: a later one with the same ones takes its place."""
    files = {
        row.figures.key: (
            row.figures.sha256,
            row.figures.environment,
            row.embedded.sha256 if row.embedded else None,
        )
        for row in measured.rows
    }
    return (
        measured.complete,
        measured.checkpoint,
        _decisive(measured.options),
        _machine(measured.environment),
        measured.dataset.sha256,
        files,
    )


def _rounds_if_same(
    run: Run, file: Path, options: BenchmarkOptions, scored: ScoredNow
) -> Rounds | None:
    try:
        measured = run.read_rounds(file)
        rows = [row.figures for row in measured.rows]
        is_same = (
            measured.complete
            and measured.classes == len(run.read_manifest().class_names)
            and _has_embedded(
                {row.figures.key: row.embedded for row in measured.rows if row.figures.is_ok},
                run,
                options,
            )
            and _is_of(measured, rows, run, options, scored)
        )
    except UsageError:
        return None
    return measured if is_same else None


def _has_failed(row: RowFigures) -> bool:
    """Return True if a row has no figures, or no answers with an instruction set, but may now."""
    if row.embedded is not None and row.embedded.status == "failed":
        return True
    if row.device == "browser" and row.status == "skipped" and packages.may_be_had():
        return True
    if row.status == "skipped" and _lacked_its_environment(row):
        return True
    return row.status == "failed" or any(
        answers.status == "failed"
        or (
            answers.status == "skipped"
            and answers.emulated is None  # else it was tried, and took too long
            and can_be_tried(row.format, answers.instruction_set)
        )
        for answers in row.instruction_sets
    )


def _lacked_its_environment(row: RowFigures) -> bool:
    if row.format not in formats.names():
        return False
    environment = formats.get(row.format).environment
    return (
        environment is not None
        and environment.is_cause_of(row.reason or "")
        and environment.may_be_had()
    )


def _has_embedded(
    measured: Mapping[tuple[str, str], RawEmbedded | EmbeddedFigures | None],
    run: Run,
    options: BenchmarkOptions,
) -> bool:
    """Return True if the present files with their preprocessing inside are the measured ones.

    Args:
        measured: those files by format and device, of the rows that are ok.
        run: the run.
        options: of the new measurement.
    """
    if not options.pipeline:
        return True
    exports = run.read_manifest().formats
    for (name, device), file in measured.items():
        if device != "cpu":
            continue
        entry = exports[name].embedded if name in exports else None
        if entry is None or entry.status != "ok":
            if file is not None and file.status == "ok":
                return False  # it is gone
            continue
        present = fingerprint.of(fingerprint.now(run.exports / entry.folder, entry.files))
        if file is None or file.sha256 != present:
            return False
    return True


def _is_of(
    measured: Results | Rounds,
    rows: Sequence[RowFigures],
    run: Run,
    options: BenchmarkOptions,
    scored: ScoredNow,
) -> bool:
    """Return True if a measurement is of the run's present files and images, with these options."""
    manifest = run.read_manifest()
    measured_hashes = {row.key: row.sha256 for row in rows}
    present_hashes = {
        (row.name, row.device): (
            row.files_now(run.exports).sha256 if row.ok else row.figures.sha256
        )
        for row in planned(manifest, options.measured_devices)
    }
    return (
        measured.checkpoint == manifest.checkpoint
        and _decisive(measured.options) == _decisive(options.record())
        and len(measured_hashes) == len(rows)
        and measured_hashes == present_hashes
        and all(map(has_present_packages, rows))
        and _machine(measured.environment)
        == _machine(description.describe(options.effective_threads))
        and measured.dataset.sha256 is not None  # else the scored images are unknown
        and scored() in {measured.dataset.sha256, None}
    )


def has_present_packages(row: RowFigures) -> bool:
    """Return True if the packages of a format's own environment are those of the measurement."""
    if row.format not in formats.names() or (row.environment is None and not row.is_ok):
        return True  # it ran with no packages at all
    environment = formats.get(row.format).environment
    try:
        return environment.has_run(row.environment) if environment else row.environment is None
    except Unavailable:
        return False


def _decisive(options: MeasuringOptions) -> MeasuringOptions:
    """Return the options without those that do not change a measurement."""
    options = msgspec.structs.replace(options, again=None, strict=None, objective=None)
    options = msgspec.structs.replace(
        options, load=None, load_p99_limit=None, load_max_seconds=None
    )
    if not options.pipeline:  # null in a measurement of before there were pipelines
        options = msgspec.structs.replace(
            options, pipeline=False, pipeline_images=None, decoders=None
        )
    if not options.also_as:  # null in a measurement of before there was this option
        options = msgspec.structs.replace(options, also_as=[])
    if not options.browser:
        options = msgspec.structs.replace(options, browser=False)
    return options


def _machine(described: Environment) -> tuple[object, ...]:
    """Return what decides the answers and the speed of a file.

    The instruction sets are compared as well: hypervisors give different processors one name, such
    as "Intel(R) Xeon(R) Processor", and an int8 file may answer otherwise on another one.
    """
    gpu = described.gpu.name if described.gpu else None
    cores = described.usable_cores, described.threads
    variables = described.variables or {}
    return described.cpu, sorted(described.isa), *cores, described.packages, gpu, variables
