"""The rows to measure: each exported format on each device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from src import formats
from src.benchmark.options import BenchmarkOptions
from src.benchmark.row import Row
from src.errors import UsageError
from src.run.file_input import BatchMaker
from src.run.manifest import Manifest
from src.run.record import Device


def planned(manifest: Manifest, chosen: Sequence[str] = ("cpu", "cuda")) -> list[Row]:
    """Return a row for each format of the manifest and each ``chosen`` device it can run on.

    The browser comes last: its rows are compared with the others.
    """
    rows = []
    for name, export in manifest.formats.items():
        for device in formats.get(name).devices:
            if device in chosen:
                batch_maker = BatchMaker(export.takes, manifest.preprocessing)
                names = manifest.class_names
                rows.append(Row(name, cast("Device", device), export, names, batch_maker))
    return sorted(rows, key=lambda row: row.device == "browser")


def planned_with_baseline(manifest: Manifest, options: BenchmarkOptions) -> list[Row]:
    """Return the rows of a measurement, with at least one row of the baseline.

    Raises:
        UsageError: the baseline was not exported.
    """
    rows = planned(manifest, options.measured_devices)
    if not any(row.name == options.baseline for row in rows):
        raise UsageError(
            "benchmark.baseline",
            expected=f"one of the exported formats {', '.join(manifest.formats)}",
            found=options.baseline,
            remedy="export it, or name another baseline",
        )
    return rows
