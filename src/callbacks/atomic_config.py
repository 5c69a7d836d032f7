"""The run's configuration, on disk whole or not at all."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from src.system import atomic_files


class WholeConfig(SaveConfigCallback):
    """Lightning's own writes in place: a training that goes on would lose it when killed then."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self.already_saved:
            return
        folder = trainer.log_dir  # every process must ask: the first one tells all
        if trainer.is_global_zero and folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
            text = self.parser.dump(self.config, skip_none=False)
            atomic_files.write_text(Path(folder) / self.config_filename, text)
        self.already_saved = True
