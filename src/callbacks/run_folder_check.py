"""Notices that the run's folder was taken away, while what was learnt is still in memory."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from src.errors import LightshipError


class FolderPresence(Callback):
    """Ends a training whose folder is no longer what it was, after its last checkpoint is written.

    Checkpoints make their folder again, so that nothing else would tell: what was written before
    is gone, and no stage takes a folder without a configuration for a run.
    """

    def __init__(self) -> None:
        self._kept: Path | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        config = Path(str(trainer.log_dir)) / "config.yaml"
        if trainer.is_global_zero and config.is_file():
            self._kept = config

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._require_folder()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._require_folder()

    def _require_folder(self) -> None:
        if self._kept is None or self._kept.is_file():
            return
        last = self._kept.with_name("checkpoints") / "last.ckpt"
        where = f"; go on with ckpt_path={last}" if last.is_file() else ""
        raise LightshipError(
            f"{self._kept.parent}: expected the run's folder as it was at the start; found it "
            f"without its config.yaml: it was removed during the training{where}"
        )
