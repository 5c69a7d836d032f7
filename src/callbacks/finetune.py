"""Options of a fine-tuning, and their callbacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from src.callbacks.averaging import MovingAverage
from src.callbacks.export import data_of
from src.callbacks.lr_and_batch_size_finders import FindBatchSize, FindLearningRate
from src.callbacks.unfreezing import GradualUnfreezing
from src.errors import UsageError
from src.models.classifier import Classifier
from src.system.ranges import Range, require_ranges

_Epochs = Annotated[int, Range("a number of epochs, or 0", "leave it out for 0", least=0)]
_Decay = Annotated[
    float,
    Range(
        "a share below 1, or 0 for no average", "set for example {argument}=0.999", least=0, below=1
    ),
]


@dataclass
class FinetuneOptions:
    """Options of a fine-tuning, all off by default.

    Args:
        freeze_epochs: epochs of the head alone.
        unfreeze_epochs: after these, epochs from the unfreezing of a stage to that of the one
            before it; 0 for all at once.
        ema_decay: of the moving average of the weights, which is then what is validated and
            exported; 0 for none.
        patience: epochs without a better validation after which training ends; 0 for never.
        find_lr: look for a learning rate before the first epoch, instead of model.lr.
        find_batch_size: look for the largest batch that the GPU holds, instead of data.batch_size.
    """

    freeze_epochs: _Epochs = 0
    unfreeze_epochs: _Epochs = 0
    ema_decay: _Decay = 0.0
    patience: _Epochs = 0
    find_lr: bool = False
    find_batch_size: bool = False

    def __post_init__(self) -> None:
        require_ranges(self, "finetune")
        if self.unfreeze_epochs and not self.freeze_epochs:
            raise UsageError(
                "finetune.unfreeze_epochs",
                expected="finetune.freeze_epochs beside it, for nothing is frozen without",
                found=str(self.unfreeze_epochs),
                remedy="add finetune.freeze_epochs=1",
            )

    def callbacks(self, monitor: str, mode: Literal["min", "max"]) -> list[Callback]:
        """Return the callbacks for the options that are on.

        Args:
            monitor: the metric that says which weights are best.
            mode: ``min`` if a small value is good, ``max`` if a large one is.
        """
        chosen: list[Callback] = []
        if self.find_batch_size:
            chosen.append(FindBatchSize())
        if self.find_lr:
            chosen.append(FindLearningRate())
        if self.freeze_epochs:
            chosen.append(GradualUnfreezing(self.freeze_epochs, self.unfreeze_epochs))
        if self.ema_decay:
            chosen.append(MovingAverage(self.ema_decay))
        if self.patience:
            chosen.append(
                Patience(
                    monitor=monitor,
                    mode=mode,
                    patience=self.patience,
                    check_on_train_epoch_end=False,
                )
            )
        return chosen


class Patience(EarlyStopping):
    """Early stopping that lasts: a stopped training that is resumed stops at once.

    It checks after each validation, which is not in every epoch.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class ClassWeights(Callback):
    """Pass the data's class weights to the model's loss, with ``data.balance=weights``."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = data_of(trainer)
        if data.loading.balance == "weights" and isinstance(pl_module, Classifier):
            pl_module.class_weights = data.class_weights().to(pl_module.device)
