"""Compares a run's files under two versions of their runtime, side by side in one session."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from packaging.version import Version

from src import formats
from src.benchmark import suite
from src.benchmark.environment import description
from src.benchmark.evaluation_data import EvaluationData
from src.benchmark.options import BenchmarkOptions
from src.benchmark.reference import reference_of
from src.benchmark.row import Row
from src.benchmark.schedule import Schedule
from src.benchmark.statistics.latency import summarize
from src.benchmark.statistics.verdict import with_same
from src.errors import UsageError
from src.run import version_comparison
from src.run.call_size import EVALUATION_BATCH
from src.run.file_input import BatchMaker
from src.run.folder import Run
from src.run.latency import Interval
from src.run.manifest import Manifest
from src.run.record import InvalidValueError
from src.run.version_comparison import VERSION, ComparedFile, Outcome, VersionComparison
from src.system import environments
from src.system.console import Report
from src.system.environments import Environment, Requirement
from src.system.ranges import (
    AccuracyDrop,
    OptionalPositiveInt,
    PositiveFloat,
    PositiveInt,
    require_ranges,
)
from src.worker.guarded_process import Limits

# A worker imports them, so the other environment has them in the same versions.
_OF_WORKERS = ("msgspec", "numpy", "pillow")
# The first release of a runtime that was built for NumPy 2, which its metadata do not say, and the
# last NumPy before it. https://github.com/microsoft/onnxruntime/releases/tag/v1.19.0
_NUMPY_2_SINCE = {"onnxruntime": Version("1.19")}
_LAST_NUMPY_1 = "1.26.4"


@dataclass(frozen=True)
class VersionOptions:
    """Options for comparing two versions of a runtime.

    Args:
        other_version: the other version, as in ``--with onnxruntime==1.30.0``. It is installed in
            an environment of its own at the first use.
        formats: exported formats to compare; by default all that run on a CPU with that package.
        batch_size: images per call.
        threads: intra-op threads; by default all usable cores.
        processes: number of processes that time each file under each version. The interval is
            computed over processes.
        rounds: maximum number of rounds in each process.
        samples: maximum number of timed calls in one turn.
        turn_seconds: maximum timed seconds in one turn.
        max_seconds: time limit for all timing, in seconds.
        warmup_seconds: time limit, in seconds, for a process to reach a steady speed.
        timeout_seconds: time limit, in seconds, for one answer.
        max_slowdown: allowed increase of the time of a call, as a share of 1.
        max_accuracy_drop: top-1 accuracy that may be lost, as a share of 1.
        strict: exit with code 1 also if it cannot be told whether a file is beyond a limit.
    """

    other_version: str
    formats: list[str] | None = None
    batch_size: PositiveInt = 1
    threads: OptionalPositiveInt = None
    processes: PositiveInt = BenchmarkOptions.processes
    rounds: PositiveInt = BenchmarkOptions.rounds
    samples: PositiveInt = BenchmarkOptions.samples
    turn_seconds: PositiveFloat = BenchmarkOptions.turn_seconds
    max_seconds: PositiveFloat = BenchmarkOptions.max_seconds
    warmup_seconds: PositiveFloat = 2.0
    timeout_seconds: PositiveFloat = 120.0
    max_slowdown: PositiveFloat = 0.05
    max_accuracy_drop: AccuracyDrop = 0.01
    strict: bool = False

    def __post_init__(self) -> None:
        require_ranges(self, "benchmark")

    def timing(self) -> BenchmarkOptions:
        """Return the options of the timing."""
        return BenchmarkOptions(
            batch_sizes=[self.batch_size],
            devices=["cpu"],
            threads=self.threads,
            processes=self.processes,
            rounds=self.rounds,
            samples=self.samples,
            turn_seconds=self.turn_seconds,
            max_seconds=self.max_seconds,
            warmup_seconds=self.warmup_seconds,
            timeout_seconds=self.timeout_seconds,
            max_accuracy_drop=self.max_accuracy_drop,
            memory=False,
            pipeline=False,
        )


class Pair(NamedTuple):
    """One file in processes of the installed version, and of the other one."""

    here: Row
    there: Row


def compare_versions(
    run: Run, data: EvaluationData, options: VersionOptions, report: Report
) -> VersionComparison:
    """Score and time a run's files under two versions of their runtime.

    Both versions load the same file. Their turns alternate in one session, so the drift of the
    machine affects both alike, and the speeds are paired round by round.

    Returns:
        The comparison, which is also written to the run's folder ``versions``.

    Raises:
        UsageError: the version cannot be installed, or no exported file runs with the package.
    """
    requirement = environments.parse("--with", options.other_version)
    manifest = run.read_manifest()
    names = _chosen(manifest, requirement, options.formats)
    report(f"making the environment of {requirement}, unless there is one")
    environment = environments.made(requirement, packages_beside(requirement))
    timing = options.timing()
    pairs = [_pair(manifest, name, environment) for name in names]
    rows = [row for pair in pairs for row in pair]
    limits = Limits(timing.effective_threads, timing.timeout_seconds, timing.memory_limit)
    started = time.monotonic()
    try:
        reference = reference_of(run, manifest)
        for number, row in enumerate(rows):
            report("loading", row.name, number, len(rows))
            row.start(run.exports, limits, reference)
        images = _score(pairs, data, report)
        batches = suite.timing_batches(data, timing.batch_sizes)
        # Both rows of a pair have one name, so no row is the baseline of the others.
        compared = [(pair.there, pair.here) for pair in pairs]
        Schedule(rows, timing, report, pairs=compared).run(batches)
        for row in rows:
            row.end_timing()
        comparison = VersionComparison(
            schema_version=VERSION,
            package=requirement.package,
            here=importlib.metadata.version(requirement.package),
            there=environment.packages.get(requirement.package, requirement.version),
            packages=environment.packages,
            environment=description.describe(timing.effective_threads),
            measured_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            measured_seconds=time.monotonic() - started,
            images=images,
            max_slowdown=options.max_slowdown,
            max_accuracy_drop=options.max_accuracy_drop,
            files=[_compared(pair, options) for pair in pairs],
        )
    finally:
        for row in rows:
            row.close()
    version_comparison.write(run.versions, comparison)
    return comparison


def packages_beside(requirement: Requirement) -> dict[str, str]:
    """Return the versions of what a worker needs beside a runtime: those that are installed here.

    An old runtime that was built for NumPy 1 gets the last one.
    """
    versions = {name: importlib.metadata.version(name) for name in _OF_WORKERS}
    since = _NUMPY_2_SINCE.get(requirement.package)
    if since is not None and Version(requirement.version) < since:
        versions["numpy"] = _LAST_NUMPY_1
    return versions


def _chosen(
    manifest: Manifest, requirement: Requirement, wanted: Sequence[str] | None
) -> list[str]:
    """Return the formats to compare.

    Raises:
        UsageError: there is none, or a wanted one does not run with the package.
    """
    fitting = [name for name in manifest.exported if _runs_with(name, requirement.package)]
    unfit = [name for name in wanted or () if name not in fitting]
    if unfit or not fitting:
        known = ", ".join(fitting) or "none"
        raise UsageError(
            "formats" if unfit else "--with",
            expected=f"an exported format that runs on a CPU with {requirement.package}: {known}",
            found=", ".join(unfit) or str(requirement),
            remedy="name another one, or export it",
        )
    return [name for name in fitting if wanted is None or name in wanted]


def _runs_with(name: str, package: str) -> bool:
    """Return True if a format's files run on a CPU with a package and none beside it."""
    kind = formats.get(name)
    if "cpu" not in kind.devices or len(kind.runs_with) != 1 or kind.environment is not None:
        return False
    distributions = importlib.metadata.packages_distributions().get(kind.runs_with[0], [])
    return package in {distribution.lower().replace("_", "-") for distribution in distributions}


def _pair(manifest: Manifest, name: str, environment: Environment) -> Pair:
    export = manifest.formats[name]
    here, there = (
        Row(
            name,
            "cpu",
            export,
            manifest.class_names,
            BatchMaker(export.takes, manifest.preprocessing),
            python,
        )
        for python in (None, environment.python)
    )
    return Pair(here, there)


def _score(pairs: Sequence[Pair], data: EvaluationData, report: Report) -> int:
    """Score both versions on the test split, each file under the other version paired with here."""
    total, done = data.count("test"), 0
    for images, labels in data.batches("test", EVALUATION_BATCH):
        report("scoring", f"{done} of {total} images", done, total)
        for pair in pairs:
            here, there = pair.here.predict(images), pair.there.predict(images)
            if here is not None and there is not None:
                pair.here.scorecard.add(here, labels, None)
                pair.there.scorecard.add(there, labels, here)
        done += len(images)
    return done


def _compared(pair: Pair, options: VersionOptions) -> ComparedFile:
    here, there = pair
    name, size = here.name, options.batch_size
    if not here.ok or not there.ok:
        version, failed = ("installed", here) if not here.ok else ("other", there)
        return ComparedFile(
            format=name,
            status=failed.figures.status,
            reason=f"the {version} version: {failed.figures.reason}",
            runs_here=here.ok,
        )
    is_fp32 = here.figures.precision == "fp32"
    score = with_same(there.scorecard.result(options.max_accuracy_drop), may_be_same=is_fp32)
    if score.accuracy.paired is None or score.verdict is None:
        raise InvalidValueError("accuracy", "a comparison of both versions", None)
    speed = there.speedup(here, size)
    return ComparedFile(
        format=name,
        status="ok",
        runtimes=[row.runtime or "unknown" for row in pair],
        here=summarize(size, here.latency.rounds[size]),
        there=summarize(size, there.latency.rounds[size], speedup=speed),
        speed=speed,
        changed=len(score.accuracy.paired.flips),
        accuracy=score.accuracy,
        verdict=score.verdict,
        speed_outcome=speed_outcome(speed, options.max_slowdown),
        answers_outcome="regressed" if score.verdict == "fail" else _told(score.verdict),
    )


def _told(verdict: str) -> Outcome:
    return "inconclusive" if verdict == "inconclusive" else "ok"


def speed_outcome(speed: Interval | None, max_slowdown: float) -> Outcome:
    """Return whether a version is shown to be slower by more than the allowed share.

    Args:
        speed: how many times as fast as the installed version; None with too few rounds.
        max_slowdown: allowed increase of the time of a call, as a share of 1.
    """
    if speed is None:
        return "inconclusive"
    least = 1 / (1 + max_slowdown)
    if speed.high < least:
        return "regressed"
    return "ok" if speed.low >= least else "inconclusive"
