"""The exponential moving average of the weights, which is validated, kept and exported."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class MovingAverage(WeightAveraging):
    """Averages after every step, parameters and BatchNorm's statistics alike.

    Validation is of the averaged weights, and a checkpoint holds them in its ``state_dict``, so
    that the best average is exported; training goes on with its own.

    Args:
        decay: the share of the average that a step leaves of it. In the beginning it is less, as
            in TensorFlow's ``ExponentialMovingAverage``: (1 + n) / (10 + n) after n steps, so that
            the random weights of the start do not count in a short training.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        super().__init__(multi_avg_fn=self._average)

    @torch.no_grad()
    def _average(self, averaged: Any, current: Any, steps: Tensor | int) -> None:
        """Update tensors of one kind; counters are copied, for they have no mean."""
        if not torch.is_floating_point(averaged[0]):
            torch._foreach_copy_(averaged, current)  # torch has no public one
            return
        decay = min(self.decay, (1 + int(steps)) / (10 + int(steps)))
        torch._foreach_lerp_(averaged, current, 1 - decay)
