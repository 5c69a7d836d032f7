"""Which weights are kept: the best by validation top-1, and those of the last epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor


class BestCheckpoint(ModelCheckpoint):
    """``best.ckpt`` in the run's folder.

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

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether these weights are the best so far.

        Of equals the later ones are kept: a small validation split has many, and training
        goes on improving what it cannot resolve.
        """
        if super().check_monitor_top_k(trainer, current):
            return True
        best = self.best_model_score
        return current is not None and best is not None and bool(current == best)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.current_score = state_dict["current_score"]  # which the inherited one forgets


class LastCheckpoint(ModelCheckpoint):
    """``last.ckpt`` in the run's folder, after every epoch, to go on from.

    A callback of its own, for ModelCheckpoint's ``save_last`` writes only when the best improves:
    training that goes on from it would repeat every epoch since.
    """

    def __init__(self) -> None:
        super().__init__(
            filename="last", save_on_train_epoch_end=True, enable_version_counter=False
        )

    @property
    def path(self) -> Path:
        """Where it is, once there is a Trainer."""
        return Path(self.format_checkpoint_name({}))
