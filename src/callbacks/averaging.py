"""Exponential moving average (EMA) of the weights, which is validated, saved and exported."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


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
