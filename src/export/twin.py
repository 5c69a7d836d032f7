"""The int8 twin of a run, for the formats that export it and for the manifest."""

from __future__ import annotations

from dataclasses import dataclass

from src.backends.base import TwinGraph
from src.errors import UsageError
from src.export.source import Checkpoint
from src.run.folder import Run
from src.run.twin import TwinAccount
from src.run.twin_files import TwinFiles
from src.system.project_commands import typed


@dataclass(frozen=True)
class TwinOfRun:
    """The twin of a checkpoint, as far as there is one.

    Args:
        graph: with the trained weights; None without a whole one.
        account: of how it was made; None if none of this checkpoint was begun.
        missing: why there is no graph; empty with one.
    """

    graph: TwinGraph | None = None
    account: TwinAccount | None = None
    missing: str = ""


def twin_of(run: Run, checkpoint: Checkpoint) -> TwinOfRun:
    """Return the twin of a checkpoint."""
    files = TwinFiles(run)
    try:
        record = files.read()
        begun = files.read_unfinished() if record is None else None
    except UsageError as error:  # the other formats need no twin
        return TwinOfRun(missing=str(error))
    make = f"{typed('src.twin')} {run.quoted}"
    if begun is not None and begun.checkpoint_sha256 == checkpoint.sha256:
        missing = f"the int8 twin is not finished; go on: {make}"
        return TwinOfRun(account=begun.account, missing=missing)
    if record is None:
        return TwinOfRun(missing=f"the run has no int8 twin; make it: {make}")
    if record.checkpoint_sha256 != checkpoint.sha256:
        return TwinOfRun(missing=f"the run's int8 twin is of other weights; make it: {make}")
    if record.reason is not None:
        missing = f"no int8 twin was made: {record.reason}"
    elif not record.is_complete:
        missing = f"the int8 twin is not finished; go on: {make}"
    elif not files.is_whole(record):
        missing = f"the int8 twin's network.onnx is missing or changed; make it again: {make}"
    else:
        return TwinOfRun(TwinGraph(files.graph, record), record.account)
    return TwinOfRun(account=record.account, missing=missing)
