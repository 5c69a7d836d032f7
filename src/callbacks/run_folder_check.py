"""Check that the run's folder still exists while training."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from src.errors import LightshipError


class RunFolderCheck(Callback):
    """Stops a training whose run folder was removed; the last checkpoint is written before.

    Writing a checkpoint makes the folder again, so the loss would go unnoticed. But all earlier
    files are gone, and the later stages accept no folder without ``config.yaml`` as a run.
    """

    def __init__(self) -> None:
        self._config: Path | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        config = Path(str(trainer.log_dir)) / "config.yaml"
        if trainer.is_global_zero and config.is_file():
            self._config = config

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._require_folder()

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._require_folder()

    def _require_folder(self) -> None:
        if self._config is None or self._config.is_file():
            return
        last = self._config.with_name("checkpoints") / "last.ckpt"
        advice = f"; go on with ckpt_path={last}" if last.is_file() else ""
        raise LightshipError(
            f"{self._config.parent}: expected the run's folder as it was at the start; found it "
            f"without its config.yaml: it was removed during the training{advice}"
        )
