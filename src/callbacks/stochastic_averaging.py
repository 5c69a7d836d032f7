"""Checks that the weights which Lightning's StochasticWeightAveraging averages are saved."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging
from torch.nn.modules.batchnorm import _BatchNorm

from src.errors import UsageError
from src.system.console import open_console


class StochasticAveraging(Callback):
    """Refuses StochasticWeightAveraging where its average would be lost, and tells where it was.

    Lightning validates and saves the average in one more epoch, which computes the statistics of
    BatchNorm. In a network without BatchNorm, and in a training without a last epoch, it moves the
    average into the network after everything was validated and saved.
    """

    def __init__(self) -> None:
        self._is_saved = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not _averages(trainer):
            return
        has_norms = any(isinstance(module, _BatchNorm) for module in pl_module.modules())
        is_endless = trainer.max_epochs is None or trainer.max_epochs < 0
        if has_norms and not is_endless:
            return
        raise UsageError(
            "trainer.callbacks",
            expected="no StochasticWeightAveraging in a "
            + ("training without a last epoch" if has_norms else "network without BatchNorm")
            + ", for its average would be neither validated nor exported",
            found="one",
            remedy="leave it out and set finetune.ema_decay=0.999, whose average is both"
            + (", or set trainer.max_epochs" if has_norms else ""),
        )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._is_saved |= trainer.fit_loop._skip_backward  # noqa: SLF001  # its one more epoch

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return  # a try keeps no weights
        has_begun = any(callback.n_averaged for callback in _averages(trainer))
        if has_begun and not self._is_saved and trainer.is_global_zero:
            open_console().print(
                "StochasticWeightAveraging: the training ended before its last epoch, so the "
                "average is neither validated nor exported",
                soft_wrap=True,
            )


def _averages(trainer: Trainer) -> list[StochasticWeightAveraging]:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return [each for each in callbacks if isinstance(each, StochasticWeightAveraging)]
