"""Atomic checkpoints: a killed process or a power cut leaves no partial file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import CheckpointIO, TorchCheckpointIO

from src.system import atomic_files


class AtomicCheckpointIO(TorchCheckpointIO):
    """CheckpointIO that writes a temporary file, syncs it and renames it.

    Lightning's own does not sync. It writes what goes to an address, such as ``s3://``.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,
    ) -> None:
        if "://" in str(path):  # a user's ModelCheckpoint in a storage that fsspec knows
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        # Through memory, as Lightning does: when a write fails inside torch.save, torch raises an
        # error about its archive instead of the system's error.
        with atomic_files.whole_file(target) as file:
            file.write(content.getbuffer())


def with_atomic_checkpoint_io(plugins: list[Any]) -> list[Any]:
    """Return the Trainer's plugins with AtomicCheckpointIO, unless one is a CheckpointIO."""
    if any(isinstance(plugin, CheckpointIO) for plugin in plugins):
        return plugins
    return [*plugins, AtomicCheckpointIO()]
