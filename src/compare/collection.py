"""The measured runs that a command line means, each under a name of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.errors import UsageError
from src.run.folder import Run, read_results
from src.run.layout import as_dict

MEASUREMENT = "benchmark.json"


@dataclass(frozen=True)
class Measured:
    """A measurement: what it is called here, where it lies, and what is in it."""

    name: str
    path: Path
    results: dict[str, Any]


def collect(arguments: Sequence[str]) -> list[Measured]:
    """The measurements below what is named: runs, folders of runs, or files of measurements.

    Raises:
        UsageError: there is none, or it is no file that the benchmark stage wrote.
    """
    paths = list(dict.fromkeys(path for each in arguments for path in _below(Path(each))))
    found = [(path, as_dict(read_results(path))) for path in paths]
    names = [results["run"] for _, results in found]
    return [
        Measured(
            # Runs in several places are called the same; then it is by their path.
            results["run"] if names.count(results["run"]) == 1 else _place(path),
            path,
            results,
        )
        for path, results in found
    ]


def folder_of(found: Sequence[Measured]) -> Path:
    """The folder that holds all of the runs."""
    return Path(os.path.commonpath([each.path.resolve().parent.parent for each in found]))


def _below(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if (path / MEASUREMENT).is_file():
        return [Run(path).benchmark]
    found = [Run(each.parent).benchmark for each in sorted(path.rglob(MEASUREMENT))]
    if not found:
        raise UsageError(
            "RUN",
            expected=f"a run with a {MEASUREMENT}, or a folder of such runs",
            found=str(path) if path.exists() else f"{path}, which does not exist",
            remedy="train one with python -m src.train, or measure it with "
            f"python -m src.benchmark {Run(path).quoted}",
        )
    return found


def _place(path: Path) -> str:
    folder = path.parent if path.name == MEASUREMENT else path
    return os.path.relpath(folder)
