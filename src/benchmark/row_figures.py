"""Figures of a row apart from its timing: its files, traces and quantization noise."""

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
from src.worker.errors import WorkerError
from src.worker.process import WorkerProcess

MOST_TENSORS = 15  # that the report lists

# Returns the row's process. It raises WorkerError where there is none.
Worker = Callable[[], WorkerProcess]


class FileFigures(NamedTuple):
    """Figures of a row's files."""

    sha256: dict[str, str | None]
    size_bytes: int | None  # None without files
    as_exported: bool


def exported(name: str, device: Device, export: Export) -> RowFigures:
    """Return the figures that are known after the export."""
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
        input=export.input,
        latency=[],
        accuracy=None,
        verdict=None,
    )


def of_files(folder: Path, written: list[ExportedFile]) -> FileFigures:
    """Return the figures of a format's files as they are now."""
    present = fingerprint.now(folder, written)
    return FileFigures(
        sha256=fingerprint.of(present),
        size_bytes=sum(file.bytes or 0 for file in present) or None,
        as_exported=fingerprint.change(written, present) is None,
    )


def problem_of(files: FileFigures) -> str | None:
    """Describe files that are missing or empty; None if there is no such problem."""
    missing = [path for path, sha256 in files.sha256.items() if sha256 is None]
    if missing:
        return f"{', '.join(missing)} of the export is missing"
    return None if files.size_bytes else "the export is empty"


def with_trace(figures: RowFigures, worker: Worker, folder: Path) -> RowFigures:
    """Write a trace of some calls into ``folder``, and return figures with their profile.

    If tracing fails, the figures hold the reason.
    """
    stem = f"{figures.format}-{figures.device}"
    path = folder / f"{stem}{TRACE_SUFFIX}"
    # Trace viewers do not look for this name. The file is renamed when it is complete.
    temporary = folder / f".{stem}.json.gz"
    try:
        profile = worker().ask(protocol.Trace(path=str(temporary))).profile
        figures = msgspec.structs.replace(figures, profile=profile)
        temporary.replace(path)
    except (WorkerError, OSError) as error:
        # The row is measured and stays ok; only its trace is missing.
        temporary.unlink(missing_ok=True)
        return msgspec.structs.replace(figures, trace_reason=str(error))
    trace = Trace(file=path.name, bytes=path.stat().st_size)
    return msgspec.structs.replace(figures, trace=trace)


def with_noise(
    figures: RowFigures, worker: Worker, images: NDArray[np.float32] | None, exports: Path | None
) -> RowFigures:
    """Return figures with the tensors of the largest quantization error, if the format can tell.

    If the comparison fails, the figures hold the reason.

    Args:
        figures: figures of a quantized file.
        worker: returns the process that has loaded the file.
        images: (n, 3, H, W), to run the file and its fp32 original on.
        exports: the folder that holds the formats' folders.
    """
    try:
        errors = worker().ask(protocol.CompareTensors(exports=str(exports)), images)
    except WorkerError as error:
        # The row is measured and stays ok; only this comparison is missing.
        return msgspec.structs.replace(figures, damage_reason=str(error))
    return msgspec.structs.replace(figures, damage=errors.tensors[:MOST_TENSORS])
