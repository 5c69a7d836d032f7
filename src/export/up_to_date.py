"""What of an earlier export is whole, and would be made the same again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from torch import Tensor

from src.errors import UsageError
from src.export.options import ExportOptions
from src.run import fingerprint
from src.run.facts import ExportedFile
from src.run.folder import Run
from src.run.layout import as_dict
from src.system import atomic_files

_NOT_DECISIVE = {"run", "health", "formats", "probe", "probe_files"}


def made_from(
    head: dict[str, Any],
    judging: tuple[Tensor, Tensor] | None,
    options: ExportOptions,
    name: str | None = None,
) -> str:
    """The SHA-256 of all that decides what a format's files hold, but for this machine.

    Args:
        head: the manifest, of which all but the formats counts.
        judging: images and labels by which a format chooses between recipes.
        options: of the export, of which those count that are the format's or every format's.
        name: of the format; None for what belongs to all formats.
    """
    own = options.by_format.get(name or "")
    parts = {
        "head": {key: value for key, value in head.items() if key not in _NOT_DECISIVE},
        "judging": [atomic_files.sha256_of(part.numpy()) for part in judging] if judging else None,
        "max_accuracy_drop": options.max_accuracy_drop,
        "embed_preprocessing": options.embed_preprocessing,
        "own": dataclasses.asdict(own) if own is not None else None,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read(run: Run) -> dict[str, Any]:
    """The manifest of an earlier export; empty where there is none that can be read."""
    run.require_own_files()
    if not run.manifest.is_file():
        return {}
    try:
        return as_dict(run.read_manifest())
    except UsageError:
        return {}  # it is damaged, and everything is exported again


def is_whole(entry: Any, exports: Path, name: str, origin: str) -> bool:
    """Whether a format's entry is of a finished export from ``origin``, and its files are as then.

    Args:
        entry: of an earlier manifest, or None.
        exports: the folder of all formats.
        name: of the format.
        origin: see :func:`made_from`.
    """
    try:
        if entry is None or entry["status"] != "ok" or entry["made_from"] != origin:
            return False
        embedded = entry["embedded"]
        if embedded and (
            embedded["status"] != "ok"
            or not is_written(exports / str(embedded["folder"]), embedded["files"])
        ):
            return False
        return is_written(exports / name, entry["files"])
    except (KeyError, TypeError, OSError):
        return False


def is_written(folder: Path, listed: list[dict[str, Any]]) -> bool:
    """Return True if all files are as they were written; False if there are none."""
    return fingerprint.is_as_written(folder, [ExportedFile(**file) for file in listed])
