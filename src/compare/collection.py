"""Collection of the measured runs and exams of a command line, each run with a unique name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.errors import UsageError
from src.run import exam
from src.run.exam import ExamMeasurement
from src.run.folder import Run, read_results
from src.run.results import Results

MEASUREMENT = "benchmark.json"


@dataclass(frozen=True)
class Measured:
    """A measurement: its unique name, its file and its content."""

    name: str
    path: Path
    results: Results


@dataclass(frozen=True)
class TakenExam:
    """An exam that a bundle took elsewhere: its file and its content."""

    path: Path
    record: ExamMeasurement


def exams_among(arguments: Sequence[str]) -> list[TakenExam]:
    """Read the files among the arguments that are measurements of exams.

    Raises:
        UsageError: such a file is not as a bundle's ``predict.py --exam`` writes it.
    """
    paths = dict.fromkeys(Path(argument) for argument in arguments if is_file_of_exam(argument))
    return [TakenExam(path, exam.read(path)) for path in paths]


def is_file_of_exam(argument: str) -> bool:
    """Return True for an argument that is a file of an exam."""
    return Path(argument).is_file() and exam.is_exam(Path(argument))


def collect(
    arguments: Sequence[str], leave_out: Callable[[str], None] | None = None
) -> list[Measured]:
    """Read the measurements below each argument: a run, a folder of runs, or a file.

    Args:
        arguments: paths.
        leave_out: called with the reason for each measurement in a folder of runs that cannot be
            read, which is left out then. One that is named itself has to be readable.

    Raises:
        UsageError: there is no measurement, or a file that the benchmark stage did not write.
    """
    files_of = {argument: _below(Path(argument)) for argument in arguments}
    named = {path for paths in files_of.values() if len(paths) == 1 for path in paths}
    measurements: list[tuple[Path, Results]] = []
    problems: list[UsageError] = []
    for path in dict.fromkeys(path for paths in files_of.values() for path in paths):
        try:
            measurements.append((path, read_results(path)))
        except UsageError as error:
            if leave_out is None or path in named:
                raise
            problems.append(error)
    if problems and not measurements:
        raise problems[0]
    for problem in problems:
        if leave_out is not None:
            leave_out(str(problem))
    names = [results.run for _, results in measurements]
    return [
        Measured(
            # Runs in different folders may have the same name. Then the path is used.
            results.run if names.count(results.run) == 1 else _relative_folder(path),
            path,
            results,
        )
        for path, results in measurements
    ]


def old_and_new(arguments: Sequence[str]) -> list[Measured]:
    """Read the two measurements in which a regression is searched, the old one first.

    Their order is that of the arguments. The runs in a folder have no such order: not by name, as
    a renamed run, and not by time, as a run that was measured again.

    Raises:
        UsageError: they are not two arguments with a measurement each, or one cannot be read.
    """
    files_of = {argument: _below(Path(argument)) for argument in arguments}
    several = {name: len(files) for name, files in files_of.items() if len(files) > 1}
    files = dict.fromkeys(path.resolve() for paths in files_of.values() for path in paths)
    if len(arguments) != 2 or several or len(files) != 2:  # noqa: PLR2004  # OLD and NEW
        found = [
            f"{name}, a folder with {several[name]} of them" if name in several else name
            for name in arguments
        ]
        raise UsageError(
            "RUN",
            expected="two measurements with --max-slowdown or --max-drop, OLD and then NEW, each "
            "by an argument of its own",
            found=" and ".join(found),
            remedy="name two runs",
        )
    return collect(arguments)


def folder_of(measurements: Sequence[Measured], exams: Sequence[TakenExam] = ()) -> Path:
    """Return the deepest folder that contains all runs; without runs, all exams."""
    folders = [measured.path.resolve().parent.parent for measured in measurements]
    folders = folders or [taken.path.resolve().parent for taken in exams]
    return Path(os.path.commonpath(folders))


def _below(path: Path) -> list[Path]:
    """Return the measurement files at or below a path."""
    if path.is_file():
        return [path]
    if (path / MEASUREMENT).is_file():
        return [Run(path).benchmark]
    found = sorted(path.rglob(MEASUREMENT), key=_in_natural_order)
    files = [Run(file.parent).benchmark for file in found]
    if not files:
        raise UsageError(
            "RUN",
            expected=f"a run with a {MEASUREMENT}, or a folder of such runs",
            found=str(path) if path.exists() else f"{path}, which does not exist",
            remedy="train one with python -m src.train, or measure it with "
            f"python -m src.benchmark {Run(path).quoted}",
        )
    return files


def _in_natural_order(path: Path) -> tuple[list[list[str | int]], str]:
    """Return the key that sorts ``version_9`` before ``version_10``."""
    # Texts and numbers take turns, so that a text is compared with a text.
    parts = [re.split(r"([0-9]+)", part) for part in path.parts]
    key = [[int(word) if place % 2 else word for place, word in enumerate(part)] for part in parts]
    return key, str(path)


def _relative_folder(path: Path) -> str:
    folder = path.parent if path.name == MEASUREMENT else path
    return os.path.relpath(folder)
