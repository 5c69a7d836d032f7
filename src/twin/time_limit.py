"""Limit of the wall time of a training, also over several commands."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class TimeLimit(Callback):
    """Ends a training in time; its schedule reads the share of the time that is over.

    Lightning's Timer ends a training in the middle of its schedule, at a high learning rate.

    Args:
        seconds: of the whole training; None for no limit.
        spent: seconds of it that earlier commands took.
    """

    def __init__(self, seconds: float | None, spent: float = 0.0) -> None:
        self.seconds = seconds
        self._spent = spent
        self._started: float | None = None

    @property
    def spent(self) -> float:
        """Seconds of the training so far, with those of earlier commands."""
        started = self._started
        return self._spent + (0.0 if started is None else time.monotonic() - started)

    @property
    def left(self) -> float | None:
        """Seconds that are left; None without a limit."""
        return None if self.seconds is None else max(0.0, self.seconds - self.spent)

    @property
    def share(self) -> float:
        """Share of the time that is over, from 0 to 1; 0 without a limit."""
        if self.seconds is None:
            return 0.0
        return min(1.0, self.spent / self.seconds) if self.seconds > 0 else 1.0

    def state_dict(self) -> dict[str, Any]:
        return {"spent": self.spent}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the time up to a checkpoint over, which a killed command noted nowhere else."""
        self._spent = max(self._spent, float(state_dict["spent"]))

    def start(self) -> None:
        """Begin to count."""
        self._started = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.seconds is not None and self.share >= 1:
            trainer.should_stop = True
