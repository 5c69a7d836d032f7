"""Checkpoints that are on disk whole or not at all, whatever ends the process or the power."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO, TorchCheckpointIO

from src.system import atomic_files


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place, then renames it; Lightning's own is not synced."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,
    ) -> None:
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        # By way of memory, as Lightning's own: where a write fails under torch.save, what it raises
        # is its own archive's state and no longer the system's error.
        with atomic_files.whole_file(target) as file:
            file.write(content.getbuffer())


def with_whole_checkpoints(plugins: list[Any]) -> list[Any]:
    """The Trainer's plugins; ours writes checkpoints unless one of them does."""
    if any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        return plugins
    return [*plugins, WholeCheckpoints()]
