"""Conditions that runs may differ in besides their files: versions, quota, frequency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from src.compare.collection import Measured, TakenExam
from src.compare.comparability import Testbed, testbed_of_cpu
from src.run.circumstances import Environment
from src.run.row import Row

RESIZER = "pillow"  # another version may give other pixels
_MOST_RUNS = 3  # that a sentence names for each value


class _Run(NamedTuple):
    name: str
    rows: Sequence[Row]
    packages: Mapping[str, str]  # versions by name

    def versions(self) -> Iterator[tuple[str, str]]:
        """Yield what decides its figures, with the version: its runtimes, and what resizes."""
        for row in self.rows:
            name, _, version = str(row.setting("runtime") or "").partition(" ")
            if row.is_ok and version:
                yield name, version
        if RESIZER in self.packages:
            yield RESIZER, self.packages[RESIZER]


def notes(measurements: Sequence[Measured], exams: Sequence[TakenExam] = ()) -> list[str]:
    """Return sentences on what differs between runs besides their files.

    Args:
        measurements: of one run each.
        exams: that bundles took elsewhere.
    """
    runs = [
        _Run(measured.name, measured.results.rows, measured.results.environment.packages)
        for measured in measurements
    ]
    for taken in exams:
        exam = taken.record
        runs.append(_Run(f"{exam.run}, exam", exam.rows, exam.environment.packages))
    return [*_versions(runs), *_machines(measurements)]


def _versions(runs: Sequence[_Run]) -> Iterator[str]:
    """Yield a sentence on each package that had several versions."""
    versions: dict[str, dict[str, list[str]]] = {}  # by package and version: names of runs
    for run in runs:
        for name, version in dict.fromkeys(run.versions()):
            versions.setdefault(name, {}).setdefault(version, []).append(run.name)
    for name, by_version in sorted(versions.items()):
        if len(by_version) > 1:
            yield (
                f"{name} has several versions here ({_listed(by_version)}): a difference between "
                "these runs may be that of the versions."
            )


def _machines(measurements: Sequence[Measured]) -> Iterator[str]:
    """Yield a sentence on each condition that differs in one place."""
    places: dict[Testbed, list[Measured]] = {}
    for measured in measurements:
        places.setdefault(testbed_of_cpu(measured.results.environment), []).append(measured)
    for place, group in sorted(places.items()):
        for condition, value_of in _CONDITIONS.items():
            values: dict[str, list[str]] = {}
            for measured in group:
                value = value_of(measured.results.environment)
                values.setdefault(value, []).append(measured.name)
            if len(values) > 1:
                yield (
                    f"The {condition} on {place} was not the same ({_listed(values)}): a "
                    "difference between these runs may be that of the machine."
                )


def _quota(environment: Environment) -> str:
    cores = environment.container.cores
    return "none" if cores is None else f"{cores:g} cores"


_CONDITIONS: dict[str, Callable[[Environment], str]] = {
    "container's limit": _quota,
    "number of usable cores": lambda environment: str(environment.usable_cores),
    "frequency governor": lambda environment: environment.frequency_governor or "unknown",
    "environment of runtimes": lambda environment: (
        ", ".join(f"{name}={value}" for name, value in (environment.variables or {}).items())
        or "no variables"
    ),
}


def _listed(runs: dict[str, list[str]]) -> str:
    """Return each value with the runs that had it."""
    return "; ".join(f"{value}: {_named(names)}" for value, names in sorted(runs.items()))


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_RUNS
    return ", ".join(names[:_MOST_RUNS]) + (f" and {rest} more" if rest > 0 else "")
