"""A measurement that is there already, with its figures or without."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from src.benchmark.environment import description
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row import planned
from src.errors import UsageError
from src.run.folder import Run
from src.run.layout import as_dict

# The hash of the test images that are there now; None where they cannot be read.
ScoredNow = Callable[[], str | None]


def find(run: Run, options: BenchmarkOptions, scored: ScoredNow) -> dict[str, Any] | None:
    """The latest measurement, if making it again would measure the same.

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
        found = as_dict(run.read_benchmark())
        same = _is_of(found, found["rows"], run, options, scored) and all(
            row["status"] != "failed" for row in found["rows"]
        )
    except (UsageError, KeyError, TypeError, AttributeError):
        return None  # it is of another version, or damaged, and is measured again
    return found if same else None


def find_rounds(run: Run, options: BenchmarkOptions, scored: ScoredNow) -> dict[str, Any] | None:
    """A measurement that was made to the end and has no figures, likewise.

    Its process ended while it made them. A row that failed stays so.
    """
    if not run.rounds.is_file():
        return None
    try:
        found = as_dict(run.read_rounds())
        rows = [row["figures"] for row in found["rows"]]
        same = (
            found["complete"]
            and found["classes"] == len(run.read_manifest().class_names)
            and _is_of(found, rows, run, options, scored)
        )
    except (UsageError, KeyError, TypeError, AttributeError):
        return None
    return found if same else None


def _is_of(
    found: dict[str, Any],
    rows: list[dict[str, Any]],
    run: Run,
    options: BenchmarkOptions,
    scored: ScoredNow,
) -> bool:
    """Whether a measurement is of the files and images of a run, with these options, here."""
    manifest = as_dict(run.read_manifest())
    measured = {(row["format"], row["device"]): row["sha256"] for row in rows}
    there = {
        (row.name, row.device): (
            row.files_now(run.exports)["sha256"] if row.ok else row.figures["sha256"]
        )
        for row in planned(manifest, options.devices)
    }
    return bool(
        found["checkpoint"] == manifest["checkpoint"]
        and _decisive(found["options"]) == _decisive(dataclasses.asdict(options))
        and measured == there
        and _machine(found["environment"])
        == _machine(description.describe(options.effective_threads))
        and scored() in {found["dataset"]["sha256"], None}
    )


def _decisive(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in {"again", "strict"}}


def _machine(described: dict[str, Any]) -> list[Any]:
    gpu = described["gpu"]
    return [
        *(described[name] for name in ("cpu", "usable_cores", "threads", "packages")),
        gpu["name"] if gpu else None,
    ]
