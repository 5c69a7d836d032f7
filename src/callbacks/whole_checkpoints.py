"""Checkpoints that are on disk whole or not at all, whatever ends the process or the power."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO, TorchCheckpointIO

from src import files


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
        with files.whole_file(target) as file:
            torch.save(checkpoint, file)


def with_whole_checkpoints(plugins: list[Any]) -> list[Any]:
    """The Trainer's plugins; ours writes checkpoints unless one of them does."""
    if any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        return plugins
    return [*plugins, WholeCheckpoints()]
