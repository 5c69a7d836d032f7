"""The manifest of an export, and the entry of one format in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from src.export.data import ExportData
from src.export.source import Checkpoint
from src.formats.base import Format
from src.models.network import count
from src.run import fingerprint
from src.run.folder import Run
from src.system import atomic_files

Manifest = dict[str, Any]
Entry = dict[str, Any]
Status = Literal["ok", "skipped", "failed"]


def head(
    run: Run,
    checkpoint: Checkpoint,
    network: nn.Module,
    data: ExportData,
    calibration: Tensor,
    selection: tuple[Tensor, Tensor] | None,
) -> Manifest:
    """Return the manifest before anything is exported.

    Args:
        run: the manifest's paths are relative to its folder.
        checkpoint: the exported one.
        network: of the checkpoint.
        data: of its preprocessing and origin.
        calibration: training images, (M, 3, H, W).
        selection: other training images, (M, 3, H, W), and their labels, (M,).
    """
    input_shape = tuple(calibration.shape[1:])
    complexity = count(network, input_shape)
    return {
        "schema_version": 1,
        "run": run.name,
        "model": checkpoint.model,
        "parameters": complexity.parameters,
        "macs": complexity.macs,
        "input_shape": list(input_shape),
        "num_classes": len(checkpoint.class_names),
        "class_names": checkpoint.class_names,
        "preprocessing": data.preprocessing.to_dict(),
        "origin": {**data.origin, "pretrained": checkpoint.pretrained},
        "checkpoint": {
            "path": str(checkpoint.path.relative_to(run.folder)),
            "sha256": checkpoint.sha256,
            "epoch": checkpoint.epoch,
        },
        "calibration": {
            "split": "train",
            "images": len(calibration),
            # The measurement checks by these that it scores none of these images.
            "images_sha256": [atomic_files.sha256_of(image.numpy()) for image in calibration],
        },
        "judging": {"split": "train", "images": len(selection[1]) if selection else 0},
        "health": None,
        "formats": {},
    }


def listed(folder: Path, paths: Iterable[str]) -> list[dict[str, Any]]:
    """Return the path, size in bytes and SHA-256 of files in a folder, as they are now."""
    return [dataclasses.asdict(file) for file in fingerprint.taken(folder, paths)]


def entry(
    format_: Format,
    preprocessing: dict[str, Any],
    status: Status,
    *,
    reason: str | None = None,
    files: list[dict[str, Any]] | None = None,
    details: dict[str, Any] | None = None,
    embedded: Entry | None = None,
    export_seconds: float | None = None,
) -> Entry:
    """Return the entry of one format.

    Args:
        format_: the exported one.
        preprocessing: as it travels inside the file.
        status: of the row.
        reason: why it was skipped or failed.
        files: that were written, with paths relative to the format's folder.
        details: how the file was made: see :meth:`src.formats.base.Format.export`.
        embedded: see :func:`embedded_entry`.
        export_seconds: that the export took, if it ended well.
    """
    seconds = {} if export_seconds is None else {"export_seconds": export_seconds}
    return {
        "precision": format_.precision,
        "reason": reason,
        "files": files or [],
        "details": details,
        "usage": format_.usage(preprocessing),
        "runs_with": list(format_.runs_with),
        "varies": format_.varies,
        "embedded": embedded,
        **seconds,
        "status": status,
    }


def embedded_entry(
    folder: str,
    status: Status,
    *,
    reason: str | None = None,
    files: list[dict[str, Any]] | None = None,
) -> Entry:
    """Return the entry of a file with its preprocessing inside, in a folder of its own."""
    return {"folder": folder, "files": files or [], "status": status, "reason": reason}


def written_files(earlier: Entry | None) -> list[str]:
    """Return the paths of the files that an entry lists; none without an entry."""
    return [str(file["path"]) for file in (earlier or {}).get("files", [])]


def failed(manifest: Manifest) -> list[str]:
    """Return the names of the formats, and of the folders of embedded files, that failed."""
    entries: dict[str, Entry] = manifest["formats"]
    names = [name for name, value in entries.items() if value["status"] == "failed"]
    embedded = [value["embedded"] for value in entries.values() if value["embedded"]]
    return names + [str(value["folder"]) for value in embedded if value["status"] == "failed"]
