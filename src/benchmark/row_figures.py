"""Figures of a row beside its timing: of its files, its traces and its quantization noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from src.run import fingerprint
from src.run.facts import ExportedFile
from src.run.folder import TRACE_SUFFIX
from src.run.manifest import Export
from src.run.record import Device
from src.run.row import RowFigures, Trace
from src.worker import protocol
from src.worker.process import WorkerError, WorkerProcess

MOST_DAMAGED = 15  # tensors that the report names

# Returns the row's process. It raises WorkerError where there is none.
Worker = Callable[[], WorkerProcess]


class FileFigures(NamedTuple):
    """The figures of a row's files."""

    sha256: dict[str, str | None]
    size_bytes: int | None  # None without files
    as_exported: bool


def exported(name: str, device: Device, export: Export) -> RowFigures:
    """Return the figures that are known from the export."""
    return RowFigures(
        format=name,
        device=device,
        precision=export.precision,
        status=export.status,
        reason=export.reason,
        size_bytes=sum(file.bytes for file in export.files) or None,
        files=[file.path for file in export.files],
        sha256=fingerprint.of(export.files),
        export_seconds=export.export_seconds,
        details=export.details,
        varies=export.varies,
        usage=export.usage,
        runs_with=export.runs_with,
        latency=[],
        accuracy=None,
        verdict=None,
    )


def of_files(folder: Path, written: list[ExportedFile]) -> FileFigures:
    """Return the figures of a format's files, as these are now."""
    present = fingerprint.now(folder, written)
    return FileFigures(
        sha256=fingerprint.of(present),
        size_bytes=sum(file.bytes or 0 for file in present) or None,
        as_exported=fingerprint.change(written, present) is None,
    )


def with_trace(figures: RowFigures, worker: Worker, folder: Path) -> RowFigures:
    """Trace some calls into ``folder``, and take the profile that the trace gives."""
    stem = f"{figures.format}-{figures.device}"
    path = folder / f"{stem}{TRACE_SUFFIX}"
    # Under a name by which no viewer looks for it until it is whole.
    temporary = folder / f".{stem}.json.gz"
    try:
        profile = worker().ask(protocol.Trace(path=str(temporary))).profile
        figures = msgspec.structs.replace(figures, profile=profile)
        temporary.replace(path)
    except (WorkerError, OSError) as error:
        # The row is measured; only this is missing from it, and says so.
        temporary.unlink(missing_ok=True)
        return msgspec.structs.replace(figures, trace_reason=str(error))
    trace = Trace(file=path.name, bytes=path.stat().st_size)
    return msgspec.structs.replace(figures, trace=trace)


def with_noise(
    figures: RowFigures, worker: Worker, images: NDArray[np.float32] | None, exports: Path | None
) -> RowFigures:
    """Find the tensors that depart the most from what was quantized, if the format can tell.

    Args:
        figures: of a quantized file.
        worker: that has loaded it.
        images: (n, 3, H, W), to run both files on.
        exports: the folder that holds the formats' folders.
    """
    try:
        departures = worker().ask(protocol.Damage(exports=str(exports)), images)
    except WorkerError as error:
        # The row is measured; only this is missing from it, and says so.
        return msgspec.structs.replace(figures, damage_reason=str(error))
    return msgspec.structs.replace(figures, damage=departures.damage[:MOST_DAMAGED])
