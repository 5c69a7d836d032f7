"""Gradual unfreezing: the head is trained first, then stage after stage."""

from __future__ import annotations

from typing import cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning
from torch import nn
from torch.optim import Optimizer

from src.errors import UsageError
from src.models.classifier import Classifier
from src.models.stages import stages


class GradualUnfreezing(BaseFinetuning):
    """Trains only the head for some epochs, then unfreezes the other stages from head to input.

    Frozen stages are in eval mode, so that BatchNorm keeps its statistics. The optimizer holds all
    parameters from the start, at their scheduled learning rates: it skips those without a gradient.

    Args:
        freeze_epochs: epochs in which only the head is trained.
        unfreeze_epochs: epochs from one stage to the next; 0 unfreezes all stages at once.
    """

    def __init__(self, freeze_epochs: int, unfreeze_epochs: int = 0) -> None:
        super().__init__()
        self.freeze_epochs = freeze_epochs
        self.unfreeze_epochs = unfreeze_epochs

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if trainer.world_size > 1:
            raise UsageError(
                "finetune.freeze_epochs",
                expected="0 where several processes train, for these agree at the start on what "
                "has a gradient",
                found=str(self.freeze_epochs),
                remedy="leave it out or set trainer.devices=1",
            )
        super().setup(trainer, pl_module, stage)

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        self.freeze(stages(_network(pl_module))[:-1], train_bn=False)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A training resumed within an epoch does not call on_train_epoch_start for it.
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # The inherited method expects finetune_function to add parameter groups.
        self.finetune_function(pl_module, trainer.current_epoch, trainer.optimizers[0])

    def finetune_function(
        self, pl_module: LightningModule, epoch: int, optimizer: Optimizer
    ) -> None:
        parts = stages(_network(pl_module))
        frozen_count = self.frozen(epoch, len(parts) - 1)
        for part in parts[:frozen_count]:
            part.eval()
        for part in parts[frozen_count:]:
            self.make_trainable(part)
            part.train()

    def frozen(self, epoch: int, stages_before_head: int) -> int:
        """Return how many stages, counted from the input, are frozen in ``epoch``."""
        if epoch < self.freeze_epochs:
            return stages_before_head
        if not self.unfreeze_epochs:
            return 0
        unfrozen = 1 + (epoch - self.freeze_epochs) // self.unfreeze_epochs
        return max(0, stages_before_head - unfrozen)


def _network(pl_module: LightningModule) -> nn.Module:
    return cast("Classifier", pl_module).network
