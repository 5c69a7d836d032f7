"""The head first, then the rest of the network."""

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
    """Trains the head alone for some epochs, then one stage more every so many epochs.

    What is frozen is in evaluation mode, so that a BatchNorm keeps its statistics. The optimizer
    has all parameters from the start, at their scheduled learning rates: it passes over those
    that have no gradient.

    Args:
        freeze_epochs: of the head alone.
        unfreeze_epochs: from one stage to the next; 0 for all stages at once.
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
        # A training that goes on in the middle of an epoch does not start it again.
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # The inherited one stores groups of parameters that it expects to grow.
        self.finetune_function(pl_module, trainer.current_epoch, trainer.optimizers[0])

    def finetune_function(
        self, pl_module: LightningModule, epoch: int, optimizer: Optimizer
    ) -> None:
        parts = stages(_network(pl_module))
        frozen = self.frozen(epoch, len(parts) - 1)
        for part in parts[:frozen]:
            part.eval()
        for part in parts[frozen:]:
            self.make_trainable(part)
            part.train()

    def frozen(self, epoch: int, stages_before_head: int) -> int:
        """How many stages are frozen in ``epoch``, counted from the input."""
        if epoch < self.freeze_epochs:
            return stages_before_head
        if not self.unfreeze_epochs:
            return 0
        free = 1 + (epoch - self.freeze_epochs) // self.unfreeze_epochs
        return max(0, stages_before_head - free)


def _network(pl_module: LightningModule) -> nn.Module:
    return cast("Classifier", pl_module).network
