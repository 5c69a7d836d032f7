"""Options of fine-tuning, and the callbacks that they add to the Trainer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

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
    """Options of fine-tuning; all are off by default.

    Args:
        freeze_epochs: epochs in which only the head is trained.
        unfreeze_epochs: epochs between the unfreezing of one stage and of the next one towards the
            input, after freeze_epochs; 0 unfreezes all stages at once.
        ema_decay: decay of the moving average of the weights, for example 0.999. The averaged
            weights are validated and exported. 0 turns the average off.
        patience: epochs without an improved validation after which training stops; 0 for never.
        find_lr: search a learning rate before the first epoch, instead of using model.lr.
        find_batch_size: search the largest batch that fits into GPU memory, instead of using
            data.batch_size.
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
        """Return the callbacks that the options ask for.

        Args:
            monitor: metric that early stopping watches.
            mode: ``max`` if a larger value is better, ``min`` if a smaller one is.
        """
        callbacks: list[Callback] = []
        if self.find_batch_size:
            callbacks.append(FindBatchSize())
        if self.find_lr:
            callbacks.append(FindLearningRate())
        if self.freeze_epochs:
            callbacks.append(GradualUnfreezing(self.freeze_epochs, self.unfreeze_epochs))
        if self.ema_decay:
            callbacks.append(MovingAverage(self.ema_decay))
        if self.patience:
            callbacks.append(
                Patience(
                    monitor=monitor,
                    mode=mode,
                    patience=self.patience,
                    check_on_train_epoch_end=False,
                )
            )
        return callbacks


class Patience(EarlyStopping):
    """Early stopping that counts epochs, and also holds when a stopped training is resumed.

    Lightning's own counts validations: those of a fraction of an epoch ended a training too early,
    those of every fifth epoch five times too late. After a resume it would train one more epoch.
    """

    def __init__(self, *, patience: int, **options: Any) -> None:
        super().__init__(patience=patience, **options)
        self._epochs = patience

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # The inherited method takes the checkpoint's patience, too.
        super().load_state_dict({**state_dict, "patience": self._epochs})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.patience = _validations(self._epochs, trainer)
        if self.wait_count >= self.patience:
            trainer.should_stop = True


def _validations(epochs: int, trainer: Trainer) -> int:
    """Return how many validations there are in a number of epochs, at least one."""
    interval, batches = trainer.val_check_batch, trainer.num_training_batches
    if interval is None or math.isinf(interval) or math.isinf(batches):
        return epochs  # validations by time, or at the end of epochs of an unknown length
    every = trainer.check_val_every_n_epoch
    in_an_epoch = batches / interval if every is None else batches // interval / every
    return max(1, math.ceil(epochs * in_an_epoch))


class ClassWeights(Callback):
    """Gives the data's class weights to the model's loss if ``data.balance=weights``."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = data_of(trainer)
        if data.loading.balance == "weights" and isinstance(pl_module, Classifier):
            pl_module.class_weights = data.class_weights().to(pl_module.device)
