"""Which weights are kept: the best by validation top-1, and those of the last epoch.

A checkpoint names no folder: a run may be renamed, copied or mounted elsewhere, and goes on there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from src.errors import UsageError


class _OneFile(ModelCheckpoint):
    """One file in the run's ``checkpoints/``, under a name that stays."""

    @property
    def path(self) -> Path:
        """Where it is, once there is a Trainer."""
        return Path(self.format_checkpoint_name({}))

    @property
    def state_key(self) -> str:
        # Lightning's holds the options, so that another every_n_epochs would forget the best.
        return type(self).__name__


class BestCheckpoint(_OneFile):
    """``best.ckpt`` in the run's folder.

    The last weights of a training are validated too, wherever it ends: in the middle of an epoch
    with ``max_steps`` or ``max_time``, or between two validations.

    Args:
        monitor: the metric that says what is best.
        mode: whether it is to be large or small.
        every_n_epochs: how often to look.
    """

    def __init__(
        self,
        monitor: str = "val/top1",
        mode: Literal["min", "max"] = "max",
        every_n_epochs: int = 1,
    ) -> None:
        super().__init__(
            filename="best",
            monitor=monitor,
            mode=mode,
            every_n_epochs=every_n_epochs,
            enable_version_counter=False,
        )
        self._validated_step = -1  # the last one that was validated
        self._is_there = False  # best.ckpt, in the run that goes on

    @property
    def kept(self) -> Path | None:
        """``best.ckpt``, if any weights were the best so far."""
        return Path(self.best_model_path).resolve() if self.best_model_path else None

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether these weights are the best so far.

        Of equals the later ones are kept: a small validation split has many, and training
        goes on improving what it cannot resolve.
        """
        if super().check_monitor_top_k(trainer, current):
            return True
        best = self.best_model_score
        return current is not None and best is not None and bool(current == best)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.enable_validation and _ends_here(trainer):
            # Lightning validates when a training is stopped, if it would in this epoch and if as
            # much was trained as is asked for: that is so where it ends by itself.
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
        # A metric of the validation stays until the next one: it may be of earlier weights.
        of_validation = str(self.monitor).startswith("val/")
        if not of_validation or self._validated_step == trainer.global_step:
            super().on_train_epoch_end(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return {"monitor": self.monitor, "mode": self.mode, "score": self.best_model_score}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # The first process tells all: only its disk needs to have the file.
        self._is_there = trainer.strategy.broadcast(self.path.is_file())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the best score of a training that goes on in its run.

        In a new run, which has no ``best.ckpt``, the best is looked for anew.

        Raises:
            UsageError: it is the score of another metric, so ``best.ckpt`` would be lost.
        """
        score: Tensor | None = state_dict["score"]
        if score is None or not self._is_there:
            return
        if (state_dict["monitor"], state_dict["mode"]) != (self.monitor, self.mode):
            raise UsageError(
                "checkpoint.monitor",
                expected=f"{state_dict['monitor']} ({state_dict['mode']}), by which the best.ckpt "
                "of this run was chosen",
                found=f"{self.monitor} ({self.mode})",
                remedy="leave it out, or go on in a new run by ckpt_path=PATH/last.ckpt",
            )
        self.best_model_path = self.kth_best_model_path = str(self.path)
        self.best_k_models = {self.best_model_path: score}
        self.best_model_score = self.current_score = self.kth_value = score


class LastCheckpoint(_OneFile):
    """``last.ckpt`` in the run's folder, after every epoch, to go on from.

    A callback of its own, for ModelCheckpoint's ``save_last`` writes only when the best improves:
    training that goes on from it would repeat every epoch since.
    """

    def __init__(self) -> None:
        super().__init__(
            filename="last", save_on_train_epoch_end=True, enable_version_counter=False
        )

    @property
    def kept(self) -> Path | None:
        """``last.ckpt``, if it is there."""
        return self.path.resolve() if self.path.is_file() else None

    def state_dict(self) -> dict[str, Any]:
        return {}


class UntrainedCheckpoint(Callback):
    """Writes ``last.ckpt`` where there was nothing to train, so that there is one to export.

    With ``trainer.max_epochs=0`` for example, or in a new run of a training that had ended.
    """

    def __init__(self, last: LastCheckpoint) -> None:
        self._last = last

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        if not trainer.strategy.broadcast(self._last.path.is_file()):
            trainer.save_checkpoint(self._last.path)


def _ends_here(trainer: Trainer) -> bool:
    """Whether the batch that is ending is the last one of the training."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    epochs = progress.processed + 1
    last_epoch = trainer.max_epochs is not None and 0 <= trainer.max_epochs <= epochs
    steps = trainer.global_step
    return bool(
        (last_epoch and trainer.is_last_batch)
        or (trainer.max_steps >= 0 and steps >= trainer.max_steps)
        or (trainer.should_stop and trainer.fit_loop._can_stop_early)  # noqa: SLF001
    )
