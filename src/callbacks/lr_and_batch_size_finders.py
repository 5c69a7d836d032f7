"""Before the first epoch: a learning rate, and the largest batch that the GPU holds."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder
from lightning.pytorch.utilities.seed import isolate_rng

from src.callbacks.export import data_of
from src.errors import UsageError
from src.models.classifier import Classifier

_SKIPPED = 10  # of the first losses, whose running mean is of few
_LEAST = 5  # losses that a slope is worth looking for in


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
        last = trainer.fit_loop.max_epochs
        model.watching = False  # the test ends where the loss diverges
        trainer.fit_loop.max_epochs = -1  # or after its steps, over as many epochs as they take
        try:
            with _bar_on_a_terminal_only():
                self.lr_find(trainer, model)
        finally:
            trainer.fit_loop.max_epochs = last
            model.watching = True
        results = self.optimal_lr.results if self.optimal_lr else {"lr": [], "loss": []}
        found = steepest(results["lr"], results["loss"])
        if found is None:
            raise UsageError(
                "finetune.find_lr",
                expected="more steps, for the test needs a dozen before the loss diverges",
                found=str(len(results["loss"])),
                remedy="set a smaller data.batch_size, more epochs, or model.lr yourself",
            )
        model.lr = found
        trainer.strategy.setup_optimizers(trainer)  # with the schedule of the new rate
        if trainer.is_global_zero:
            print(f"learning rate found: model.lr={found:.2g}")


class FindBatchSize(BatchSizeFinder):
    """Doubles the batch until the GPU's memory is full, and takes the last that fitted."""

    def __init__(self) -> None:
        super().__init__(mode="power", init_val=8)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str | None = None) -> None:
        self._refuse(trainer)
        super().setup(trainer, pl_module, stage)

    def _refuse(self, trainer: Trainer) -> None:
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

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _require_start(trainer, "finetune.find_batch_size")
        with isolate_rng():
            self.scale_batch_size(trainer, pl_module)
        data_of(trainer).batch_size = cast("Any", self.optimal_batch_size)
        trainer.strategy.setup_optimizers(trainer)  # with a schedule of as many steps as there are
        print(f"batch size found: data.batch_size={self.optimal_batch_size}")


def steepest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The learning rate at which the loss falls fastest for a rate that grows by a factor.

    Lightning's own suggestion is the steepest fall for a rate that grows by a difference, which is
    where the rates are smallest and lie closest, whatever the noise of the losses there.

    Args:
        rates: that grow exponentially, (n,).
        losses: their running mean, (n,).

    Returns:
        None where there are too few finite losses.
    """
    rate, loss = np.asarray(rates[_SKIPPED:]), np.asarray(losses[_SKIPPED:])
    finite = np.isfinite(loss)
    rate, loss = rate[finite], loss[finite]
    if len(loss) < _LEAST:
        return None
    # Beyond the least loss there is nothing to be gained, only what diverges and comes back.
    end = max(int(loss.argmin()) + 1, _LEAST)
    slopes = np.gradient(loss[:end], np.log(rate[:end]))
    return float(rate[int(slopes.argmin())])


@contextlib.contextmanager
def _bar_on_a_terminal_only() -> Iterator[None]:
    """Lightning's finder draws a bar wherever it is."""
    if sys.stderr.isatty():
        yield
        return
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def _require_start(trainer: Trainer, argument: str) -> None:
    if trainer.ckpt_path is not None:
        raise UsageError(
            argument,
            expected="false where training goes on from a checkpoint",
            found="true",
            remedy=f"leave out {argument}",
        )
