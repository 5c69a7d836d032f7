"""A pause of a training at the end of an epoch, from which it resumes bit for bit."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from src.errors import UsageError


class PauseAfterEpoch(Callback):
    """Ends the fit after an epoch, without changing anything else of the training.

    ``trainer.max_epochs`` stays the length of the whole training, so the learning rate schedule
    and all that depends on the number of steps are those of the whole training. With
    ``ckpt_path=last`` and without this callback the training goes on as if it had not paused.

    Args:
        epochs: number of epochs after which the training pauses, counted from its beginning.
    """

    def __init__(self, epochs: int) -> None:
        if epochs < 1:
            raise UsageError(
                "PauseAfterEpoch.epochs",
                expected="1 or more",
                found=str(epochs),
                remedy="name the epoch to pause after",
            )
        self.epochs = epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A training that resumes at or after the pause has nothing to do.
        if trainer.current_epoch >= self.epochs:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch + 1 >= self.epochs:
            trainer.should_stop = True
