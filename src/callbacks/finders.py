"""Before the first epoch: a learning rate, and the largest batch that the GPU holds."""

from __future__ import annotations

from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder
from lightning.pytorch.utilities.seed import isolate_rng

from src.callbacks.export import data_of
from src.errors import UsageError
from src.models.classifier import Classifier


class FindLearningRate(LearningRateFinder):
    """The range test of Smith (2017, arXiv 1506.01186): the rate at which the loss falls fastest.

    Args:
        steps: of the test, over which the rate grows.
    """

    def __init__(self, steps: int = 100) -> None:
        super().__init__(min_lr=1e-6, num_training_steps=steps, update_attr=False)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _require_start(trainer, "finetune.find_lr")
        model = cast("Classifier", pl_module)
        model.watching = False  # the test ends where the loss diverges
        try:
            self.lr_find(trainer, model)
        finally:
            model.watching = True
        found = self.optimal_lr.suggestion() if self.optimal_lr else None
        if found is None:
            print(f"learning rate: the test had too few steps; model.lr={model.lr:.2g} stays")
            return
        model.lr = found
        trainer.strategy.setup_optimizers(trainer)  # with the schedule of the new rate
        if trainer.is_global_zero:
            print(f"learning rate found: model.lr={found:.2g}")


class FindBatchSize(BatchSizeFinder):
    """Doubles the batch until the GPU's memory is full, and takes the last that fitted."""

    def __init__(self) -> None:
        super().__init__(mode="power", init_val=8)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str | None = None) -> None:
        expected = None
        if trainer.world_size > 1:
            expected = "false where several processes train"
        elif trainer.strategy.root_device.type == "cpu":
            expected = "false on a CPU, which has no limit that it can tell of before it swaps"
        if expected:
            raise UsageError(
                "finetune.find_batch_size",
                expected=expected,
                found="true",
                remedy="set data.batch_size instead",
            )
        super().setup(trainer, pl_module, stage)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _require_start(trainer, "finetune.find_batch_size")
        with isolate_rng():
            self.scale_batch_size(trainer, pl_module)
        data_of(trainer).batch_size = cast("Any", self.optimal_batch_size)
        trainer.strategy.setup_optimizers(trainer)  # with a schedule of as many steps as there are
        print(f"batch size found: data.batch_size={self.optimal_batch_size}")


def _require_start(trainer: Trainer, argument: str) -> None:
    if trainer.ckpt_path is not None:
        raise UsageError(
            argument,
            expected="false where training goes on from a checkpoint",
            found="true",
            remedy=f"leave out {argument}",
        )
