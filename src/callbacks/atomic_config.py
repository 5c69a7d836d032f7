"""Atomic write of the run's configuration."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from src.system import atomic_files


class AtomicSaveConfig(SaveConfigCallback):
    """SaveConfigCallback that replaces ``config.yaml`` atomically.

    Lightning's own writes in place: a resumed training that is killed during the write would lose
    the file.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.already_saved:
            return
        folder = trainer.log_dir  # a collective call: rank 0 broadcasts it to all processes
        if trainer.is_global_zero and folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
            text = self.parser.dump(self.config, skip_none=False)
            atomic_files.write_text(Path(folder) / self.config_filename, text)
        self.already_saved = True
