"""Exponential moving average (EMA) of the weights, which is validated, saved and exported."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from src.models.builders import load_weights

_SAVED = {"state_dict", "current_model_state", "averaging_state"}


class MovingAverage(WeightAveraging):
    """EMA of parameters and BatchNorm statistics, updated after every step.

    Validation uses the averaged weights, and a checkpoint stores them in its ``state_dict``, so
    that the best average is exported. Training continues with the weights that are not averaged.

    Args:
        decay: share of the old average that each step keeps. At most (1 + n) / (10 + n) after n
            steps, as in TensorFlow's ``ExponentialMovingAverage``: the random initial weights then
            do not dominate a short training.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        super().__init__(multi_avg_fn=self._average)

    @torch.no_grad()
    def _average(self, averaged: Any, current: Any, steps: Tensor | int) -> None:
        """Update tensors of one data type; integer counters are copied, not averaged."""
        if not torch.is_floating_point(averaged[0]):
            torch._foreach_copy_(averaged, current)  # torch has no public equivalent
            return
        decay = min(self.decay, (1 + int(steps)) / (10 + int(steps)))
        torch._foreach_lerp_(averaged, current, 1 - decay)

    def state_dict(self) -> dict[str, Any]:
        """Return the state with the decay, which a training that goes on must have as well."""
        return {**super().state_dict(), "decay": self.decay}

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the average as ``state_dict``, with the version of each layer.

        Lightning's own is a plain dictionary. The versions are lost, and some networks refuse it:
        see :func:`src.models.builders.asks_for_version`.
        """
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        if self._average_model is None:
            return
        state = pl_module.state_dict()  # has the versions
        state.update(checkpoint["state_dict"])
        checkpoint["state_dict"] = state

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Load the average and the weights in training, as Lightning does, with the versions."""
        average = self._average_model
        if average is None or not checkpoint.keys() >= _SAVED:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
            return
        named = {f"module.{name}": value for name, value in checkpoint["state_dict"].items()}
        load_weights(average, {**named, **checkpoint["averaging_state"]})
        load_weights(pl_module, checkpoint["current_model_state"])
