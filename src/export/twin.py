"""The int8 twin of a run, for the formats that export it."""

from __future__ import annotations

from src.backends.base import TwinGraph
from src.export.source import Checkpoint
from src.run.folder import Run
from src.system import atomic_files


def twin_of(run: Run, checkpoint: Checkpoint) -> TwinGraph | None:
    """Return the twin of a checkpoint; None if the run has none, or one of other weights.

    Raises:
        UsageError: the account of the twin is not as ``src.twin`` writes it.
    """
    record = run.read_twin()
    if record is None or record.checkpoint_sha256 != checkpoint.sha256 or not record.is_complete:
        return None
    path = run.twin_graph
    if not path.is_file() or atomic_files.sha256(path) != record.graph_sha256:
        return None
    return TwinGraph(path, record)
