"""The loss of a training step, its share of an optimizer step, and its mean over an epoch."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.nn import functional


def training_loss(
    logits: Tensor, targets: Tensor, label_smoothing: float, class_weights: Tensor | None
) -> Tensor:
    """Return the cross-entropy of a batch: the mean over its images.

    torch divides a weighted loss by the weights of the batch. The weight of an image would then
    depend on its neighbours, and in a batch of one class weights had no effect
    (https://github.com/pytorch/pytorch/issues/61309). Here the weights, whose mean over the
    training images is 1, are factors.

    Args:
        logits: (N, K).
        targets: classes (N,), or with mixup shares of classes (N, K).
        label_smoothing: share of the target spread over all classes.
        class_weights: weight of each class, (K,); None for equal weights.
    """
    if class_weights is None:
        return functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)
    precise = torch.promote_types(logits.dtype, torch.float32)
    losses: Tensor = functional.cross_entropy(
        logits.to(precise),
        targets.to(precise) if targets.is_floating_point() else targets,
        weight=class_weights.to(precise),
        label_smoothing=label_smoothing,
        reduction="none",
    )  # (N,)
    return losses.mean()


def for_optimizer(loss: Tensor, trainer: Trainer, batch_idx: int) -> Tensor:
    """Scale the loss of a batch so that each optimizer step has the mean of its batches.

    Lightning divides each loss by ``trainer.accumulate_grad_batches``. The last step of an epoch
    has fewer batches where their number is no multiple of it, and its gradient was too small
    (https://github.com/Lightning-AI/pytorch-lightning/issues/19987).

    Args:
        loss: of one batch.
        trainer: trains.
        batch_idx: number of the batch in its epoch.
    """
    wanted = trainer.accumulate_grad_batches
    if trainer.strategy.handles_gradient_accumulation:
        return loss  # such a strategy makes no step at the end of an epoch
    batches = min(wanted, trainer.num_training_batches - batch_idx + batch_idx % wanted)
    return loss if batches == wanted else loss * (wanted / batches)


class EpochMean:
    """Mean of the losses since the epoch began, which a checkpoint stores.

    It stays on the device of the losses: reading a value would synchronise with the device.
    """

    def __init__(self) -> None:
        self.count = 0  # of losses
        self._total = torch.zeros(())

    def add(self, loss: Tensor, batch_idx: int) -> None:
        """Add the detached loss of a batch; the first batch of an epoch begins a new mean."""
        if batch_idx == 0 or not self.count:
            self._total, self.count = torch.zeros_like(loss), 0
        self._total = self._total + loss
        self.count += 1

    def state_dict(self, trainer: Trainer) -> dict[str, Any]:
        """Return the state for a checkpoint: a training may go on within an epoch.

        Each process has losses of its own, and one of them writes the checkpoint that all of them
        read. The total is therefore the mean of theirs; a collective call, as saving is. After an
        error the other processes may not make it.
        """
        total = self._total
        if self.count and not trainer.interrupted:
            own = total.to(trainer.strategy.root_device, copy=True)  # it is reduced in place
            total = trainer.strategy.reduce(own, reduce_op="mean")
        return {"total": total.cpu(), "count": self.count}

    def load_state_dict(self, state: object) -> None:
        """Take a state; that of a checkpoint without one, or with another, is left out."""
        total, count = (
            (state.get("total"), state.get("count")) if isinstance(state, dict) else (None, None)
        )
        if isinstance(total, Tensor) and total.ndim == 0 and isinstance(count, int):
            self._total, self.count = total, count

    def value(self, trainer: Trainer) -> Tensor:
        """Return the mean of at least one loss; at the end of an epoch it is that of all processes.

        A schedule or a checkpoint that watches it then decides the same in each process.
        """
        mean: Tensor = self._total / self.count
        if trainer.is_last_batch:
            mean = trainer.strategy.reduce(mean, reduce_op="mean")
        return mean
