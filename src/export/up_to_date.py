"""Finds the files of an earlier export that are whole and would be made the same again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from src.errors import UsageError
from src.export.manifest import Entry, Manifest
from src.export.options import ExportOptions
from src.run import fingerprint
from src.run.facts import ExportedFile
from src.run.folder import Run
from src.run.layout import as_dict
from src.system import atomic_files

_NOT_DECISIVE = {"run", "health", "formats", "probe", "probe_files"}


@dataclass(frozen=True)
class Plan:
    """The files of an earlier export that stay, and the formats that are left to export."""

    before: Manifest  # of the earlier export; empty without one
    whole: dict[str, Entry]  # formats that stay as they are
    left: list[str]
    made_from: dict[str, str]  # see made_from(), for each format
    probed_from: str  # the same for the reference outputs
    probe_files: list[dict[str, Any]]  # the reference outputs that stay; empty if none do
    health: dict[str, Any] | None  # of the same checkpoint


def plan(
    run: Run, manifest: Manifest, selection: tuple[Tensor, Tensor] | None, options: ExportOptions
) -> Plan:
    """Compare the export that is asked for with what is in the run's folder.

    Args:
        run: its ``exports/`` may hold an earlier export.
        manifest: of the new export, before anything is exported.
        selection: images and labels by which a format chooses between recipes.
        options: of the new export.
    """
    before = read(run)
    earlier = {} if options.again else before
    origins = {name: made_from(manifest, selection, options, name) for name in options.formats}
    probed_from = made_from(manifest, None, options)
    probed = earlier.get("probe") == probed_from and is_written(
        run.exports, earlier.get("probe_files", [])
    )
    whole = {
        name: entry
        for name in options.formats
        if probed
        and (entry := earlier.get("formats", {}).get(name))
        and is_whole(entry, run.exports, name, origins[name])
    }
    return Plan(
        before=before,
        whole=whole,
        left=[name for name in options.formats if name not in whole],
        made_from=origins,
        probed_from=probed_from,
        probe_files=earlier["probe_files"] if probed else [],
        health=earlier.get("health")
        if earlier.get("checkpoint") == manifest["checkpoint"]
        else None,
    )


def made_from(
    head: Manifest,
    selection: tuple[Tensor, Tensor] | None,
    options: ExportOptions,
    name: str | None = None,
) -> str:
    """Return the SHA-256 of everything that decides the content of a format's files.

    This machine is left out.

    Args:
        head: the manifest, of which all but the formats counts.
        selection: images and labels by which a format chooses between recipes.
        options: of the export, of which those count that are the format's or every format's.
        name: of the format; None for what belongs to all formats.
    """
    own = options.by_format.get(name or "")
    parts = {
        "head": {key: value for key, value in head.items() if key not in _NOT_DECISIVE},
        "judging": [atomic_files.sha256_of(part.numpy()) for part in selection]
        if selection
        else None,
        "max_accuracy_drop": options.max_accuracy_drop,
        "embed_preprocessing": options.embed_preprocessing,
        "own": dataclasses.asdict(own) if own is not None else None,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read(run: Run) -> Manifest:
    """Read the manifest of an earlier export; empty where there is none that can be read."""
    run.require_own_files()
    if not run.manifest.is_file():
        return {}
    try:
        return as_dict(run.read_manifest())
    except UsageError:
        return {}  # it is damaged, and everything is exported again


def is_whole(entry: Any, exports: Path, name: str, origin: str) -> bool:
    """Return True if an entry is of a finished export from ``origin`` with unchanged files.

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
