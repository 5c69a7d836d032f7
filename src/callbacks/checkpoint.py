"""Checkpoints of a run: the best by validation top-1, and the last.

A checkpoint stores no folder, so a run that was renamed, copied or mounted elsewhere can resume.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from src.callbacks import best_score
from src.callbacks.best_score import BestScore, StoredBest
from src.errors import UsageError
from src.models.metrics import mode_of


class _SingleFileCheckpoint(ModelCheckpoint):
    """One file with a fixed name in the run's ``checkpoints/``."""

    @property
    def path(self) -> Path:
        """Path of the file; needs a Trainer."""
        return Path(self.format_checkpoint_name({}))

    @property
    def state_key(self) -> str:
        # Lightning's key holds the options: a changed every_n_epochs would lose the best score.
        return type(self).__name__


class BestCheckpoint(_SingleFileCheckpoint):
    """``best.ckpt`` in the run's folder.

    The last weights of a training are always validated, also when ``max_steps`` or ``max_time``
    ends it in the middle of an epoch or between two validations.

    Args:
        monitor: metric that ranks the checkpoints.
        mode: ``max`` if a larger value is better, ``min`` if a smaller one is; by default ``min``
            for a loss or an error, and ``max`` for any other metric.
        every_n_epochs: epochs between two comparisons.
    """

    def __init__(
        self,
        monitor: str = "val/top1",
        mode: Literal["min", "max"] | None = None,
        every_n_epochs: int = 1,
    ) -> None:
        super().__init__(
            filename="best",
            monitor=monitor,
            mode=mode or mode_of(monitor),
            every_n_epochs=every_n_epochs,
            enable_version_counter=False,
        )
        self._validated_step = -1  # last global step with a validation
        self._stored: StoredBest | None = None  # best.ckpt, in the run that is resumed

    @property
    def saved_path(self) -> Path | None:
        """Absolute path of ``best.ckpt``; None before the first one is saved."""
        return Path(self.best_model_path).resolve() if self.best_model_path else None

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Return True if these weights are at least as good as the best so far.

        On a tie the later weights win: small validation splits have many ties, and training
        still improves the network by less than the split can resolve.
        """
        if super().check_monitor_top_k(trainer, current):
            return True
        best = self.best_model_score
        return current is not None and best is not None and bool(current == best)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.enable_validation and _is_final_batch(trainer):
            # Lightning validates after should_stop only if this epoch has a validation and
            # min_epochs and min_steps are reached. Ensure all three.
            trainer.should_stop = True
            trainer.fit_loop.min_epochs = trainer.fit_loop.epoch_loop.min_steps = None
            if trainer.check_val_every_n_epoch is not None:
                trainer.check_val_every_n_epoch = 1
            self._every_n_epochs = 1
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self._validated_step = trainer.global_step
        super().on_validation_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A validation metric stays until the next validation: it may belong to earlier weights.
        is_validation_metric = str(self.monitor).startswith("val/")
        if not is_validation_metric or self._validated_step == trainer.global_step:
            super().on_train_epoch_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"monitor": self.monitor, "mode": self.mode, "score": self.best_model_score}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # Rank 0 reads and broadcasts: only its disk needs to have the file.
        stored = best_score.read(self.path, self.state_key) if trainer.is_global_zero else None
        self._stored = trainer.strategy.broadcast(stored)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score of a training that resumes in its own run.

        ``best.ckpt`` itself says its score: the checkpoint that the training goes on from may be
        older. A new run has no ``best.ckpt``, so it starts without a best score.

        Raises:
            UsageError: ``best.ckpt`` cannot be read, or its score is of another metric, so it would
                be overwritten.
        """
        if self._stored is None:
            return
        self._stored.require_whole(self.path)
        earlier = BestScore.of(state_dict)
        best = self._stored.best or earlier
        if earlier.is_better_than(best):
            best = earlier
        if best.score is None:
            return
        if (best.monitor, best.mode) != (self.monitor, self.mode):
            raise UsageError(
                "checkpoint.monitor",
                expected=f"{best.monitor} ({best.mode}), by which the best.ckpt "
                "of this run was chosen",
                found=f"{self.monitor} ({self.mode})",
                remedy="leave it out, or go on in a new run by ckpt_path=PATH/last.ckpt",
            )
        self.best_model_path = self.kth_best_model_path = str(self.path)
        self.best_k_models = {self.best_model_path: best.score}
        self.best_model_score = self.current_score = self.kth_value = best.score


class LastCheckpoint(_SingleFileCheckpoint):
    """``last.ckpt`` in the run's folder, saved after every epoch to resume from.

    ModelCheckpoint's ``save_last`` is not used: it writes only when the best improves, so a
    resumed training would repeat every epoch since then.
    """

    def __init__(self) -> None:
        super().__init__(
            filename="last", save_on_train_epoch_end=True, enable_version_counter=False
        )

    @property
    def saved_path(self) -> Path | None:
        """Absolute path of ``last.ckpt``; None if it does not exist."""
        return self.path.resolve() if self.path.is_file() else None

    def state_dict(self) -> dict[str, Any]:
        return {}


class UntrainedCheckpoint(Callback):
    """Writes ``last.ckpt`` if the fit had no step, so that there is a checkpoint to export.

    Examples are ``trainer.max_epochs=0`` and a new run that resumes a finished training.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self._last = last

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if not trainer.strategy.broadcast(self._last.path.is_file()):
            trainer.save_checkpoint(self._last.path)


def _is_final_batch(trainer: Trainer) -> bool:
    """Return True if the current batch is the last one of the training."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    epochs = progress.processed + 1
    last_epoch = trainer.max_epochs is not None and 0 <= trainer.max_epochs <= epochs
    steps = trainer.global_step
    return bool(
        (last_epoch and trainer.is_last_batch)
        or (trainer.max_steps >= 0 and steps >= trainer.max_steps)
        or (trainer.should_stop and trainer.fit_loop._can_stop_early)  # noqa: SLF001
    )
