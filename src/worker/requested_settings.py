"""The settings that a process was asked for, compared with those that its runtime reports."""

from __future__ import annotations

from src.worker.errors import WorkerError
from src.worker.protocol import Loaded


def other_setting(loaded: Loaded) -> str | None:
    """Describe the first setting that differs from the request; return None if none does."""
    effective = loaded.effective
    for name, requested in loaded.requested.items():
        if name in effective and effective[name] != requested:
            return f"asked for {name} {requested}, runs with {effective[name]}"
    return None


def as_requested(loaded: Loaded) -> Loaded:
    """Return the answer of a process that runs with the settings that it was asked for.

    Raises:
        WorkerError: a setting is another one.
    """
    if problem := other_setting(loaded):
        raise WorkerError(problem)
    return loaded
