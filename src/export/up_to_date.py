"""Finds the files of an earlier export that are whole and would be made the same again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import msgspec
from torch import Tensor

from src import formats
from src.backends.base import TwinGraph, Unavailable
from src.backends.own_environment import OwnEnvironment
from src.errors import UsageError
from src.export.options import ExportOptions
from src.quantization.target import this_processor
from src.run import fingerprint
from src.run.facts import ExportedFile, HealthFacts, Origin
from src.run.folder import Run
from src.run.manifest import Export, Manifest
from src.run.twin import Processor
from src.system import atomic_files

_NOT_DECISIVE = {"run", "health", "twin", "formats", "probe", "probe_files"}


@dataclass(frozen=True)
class Plan:
    """The files of an earlier export that stay, and the formats that are left to export."""

    before: Manifest | None  # of the earlier export, if there is one
    whole: dict[str, Export]  # formats that stay as they are
    others: dict[str, Export]  # formats that are not asked for, and stay too
    gone: dict[str, str]  # the reason by format, of those that are not asked for and do not stay
    left: list[str]
    made_from: dict[str, str]  # see made_from(), for each format
    probed_from: str  # the same for the reference outputs
    probe_files: list[ExportedFile]  # the reference outputs that stay; empty if none do
    health: HealthFacts | None  # of the same checkpoint


def plan(
    run: Run,
    manifest: Manifest,
    selection: tuple[Tensor, Tensor] | None,
    options: ExportOptions,
    twin: TwinGraph | None = None,
) -> Plan:
    """Compare the export that is asked for with what is in the run's folder.

    Args:
        run: its ``exports/`` may hold an earlier export.
        manifest: of the new export, before anything is exported, with its twin.
        selection: images and labels by which a format chooses between recipes.
        options: of the new export.
        twin: of the same weights.
    """
    before = read(run)
    earlier = None if options.again else before
    origins = {
        name: made_from(manifest, selection, options, name, twin) for name in options.formats
    }
    probed_from = made_from(manifest, None, options)
    probe_files, whole = [], {}
    is_same_record = before is not None and _decisive(before) == _decisive(manifest)
    if (
        earlier is not None
        and earlier.probe is not None
        and is_same_record  # it decides the reference outputs
        and fingerprint.is_as_written(run.exports, earlier.probe_files)
    ):
        probe_files = earlier.probe_files
        whole = {
            name: earlier.formats[name]
            for name in options.formats
            if name in earlier.formats
            and is_whole(earlier.formats[name], run.exports, name, origins[name])
        }
    not_asked = {
        name: export
        for name, export in (before.formats if before else {}).items()
        if name not in origins
    }
    is_same_twin = before is not None and before.twin == manifest.twin
    reasons = {
        name: _reason_to_go(export, run.exports, name, is_same_twin=is_same_twin)
        if is_same_record
        else "of other weights, images or preprocessing"
        for name, export in not_asked.items()
    }
    others = {name: export for name, export in not_asked.items() if reasons[name] is None}
    same_checkpoint = earlier is not None and earlier.checkpoint == manifest.checkpoint
    return Plan(
        before=before,
        whole=whole,
        others=others,
        gone={name: reason for name, reason in reasons.items() if reason is not None},
        left=[name for name in options.formats if name not in whole],
        made_from=origins,
        probed_from=probed_from,
        probe_files=probe_files,
        health=earlier.health if earlier is not None and same_checkpoint else None,
    )


def _reason_to_go(export: Export, exports: Path, name: str, *, is_same_twin: bool) -> str | None:
    """Return the reason why an entry does not stay in a record of the same weights and images.

    The options by which its file was made may be others than those of the export now.

    Args:
        export: of an earlier manifest.
        exports: the folder of all formats.
        name: of the format.
        is_same_twin: True if the run's int8 twin is that of the earlier manifest.
    """
    if name not in formats.names():
        return "of no format that is known here"
    if export.status != "ok":
        return f"{export.status} before"
    if formats.get(name).of_twin and not is_same_twin:
        return "of another int8 twin"
    if not _is_as_written(export, exports, name):
        return "changed, removed or not readable"
    return None


def made_from(
    head: Manifest,
    selection: tuple[Tensor, Tensor] | None,
    options: ExportOptions,
    name: str | None = None,
    twin: TwinGraph | None = None,
) -> str:
    """Return the SHA-256 of everything that decides the content of a format's files.

    This machine is left out.

    Args:
        head: the manifest, of which all but the formats counts.
        selection: images and labels by which a format chooses between recipes.
        options: of the export, of which those count that are the format's or every format's.
        name: of the format; None for what belongs to all formats.
        twin: of the same weights.
    """
    own = options.by_format.get(name or "")
    parts: dict[str, object] = {
        "head": _decisive(head),
        "judging": [atomic_files.sha256_of(part.numpy()) for part in selection]
        if selection
        else None,
        "max_accuracy_drop": options.max_accuracy_drop,
        "embed_preprocessing": options.embed_preprocessing,
        "own": dataclasses.asdict(own) if own is not None else None,
    }
    if name is not None and options.takes.is_pixels and formats.get(name).takes_pixels:
        parts["input"] = str(options.takes)
    if name is not None and formats.get(name).of_twin:
        parts["twin"] = None if twin is None else twin.record.graph_sha256
    if name is not None and (environment := formats.get(name).environment):
        parts["lock"] = _lock_of(environment)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _lock_of(environment: OwnEnvironment) -> str | None:
    """Return the hash of all packages that convert a file; None if the lock cannot be read."""
    try:
        return environment.lock_sha256
    except Unavailable:
        return None  # the export tells it


def _decisive(head: Manifest) -> dict[str, object]:
    """Return the parts of a manifest that decide the content of files, as plain values."""
    origin = msgspec.structs.asdict(head.origin or Origin())  # null where it is not known
    values: dict[str, object] = {**msgspec.to_builtins(head), "origin": origin}
    return {name: value for name, value in values.items() if name not in _NOT_DECISIVE}


def of_other_processors(whole: Mapping[str, Export]) -> list[str]:
    """Return a line on each kept int8 file whose types are those of another kind of processor.

    A file with ``target=auto`` is for the processor that exports it. It stays where a run is moved
    to another one, because it may have been measured there.
    """
    lines = []
    for name, export in whole.items():
        details = export.details
        if details is None or details.of_twin or details.more.get("asked_for", "auto") != "auto":
            continue
        made_for, here = details.more.get("target"), this_processor()
        if made_for in get_args(Processor) and made_for != here:
            lines.append(
                f"{name} was made for {made_for}, and this processor is {here}; "
                "again=true makes it for this one"
            )
    return lines


def read(run: Run) -> Manifest | None:
    """Read the manifest of an earlier export; None where there is none that can be read."""
    run.require_own_files()
    if not run.manifest.is_file():
        return None
    try:
        return run.read_manifest()
    except UsageError:
        return None  # it is damaged, and everything is exported again


def is_whole(export: Export, exports: Path, name: str, origin: str) -> bool:
    """Return True if an entry is of a finished export from ``origin`` with unchanged files.

    Args:
        export: of an earlier manifest.
        exports: the folder of all formats.
        name: of the format.
        origin: see :func:`made_from`.
    """
    if export.status != "ok" or export.made_from != origin:
        return False
    if export.embedded and export.embedded.status != "ok":
        return False
    return _is_as_written(export, exports, name)


def _is_as_written(export: Export, exports: Path, name: str) -> bool:
    """Return True if the files of an entry are unchanged."""
    embedded = export.embedded
    try:
        if embedded and not fingerprint.is_as_written(exports / embedded.folder, embedded.files):
            return False
        return fingerprint.is_as_written(exports / name, export.files)
    except OSError:
        return False  # a file that cannot be read is exported again
