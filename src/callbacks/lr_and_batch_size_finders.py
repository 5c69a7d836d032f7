"""Search of the learning rate and of the largest batch size, before the first epoch."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder
from lightning.pytorch.utilities.seed import isolate_rng

from src.callbacks.export import data_of
from src.callbacks.resumed_options import ResumedOptions
from src.callbacks.unfreezing import GradualUnfreezing
from src.errors import UsageError
from src.models.classifier import Classifier

_SKIPPED_LOSSES = 10  # the first ones: their running mean is over few values
_MIN_LOSSES = 5  # needed for a slope


class FindLearningRate(LearningRateFinder):
    """Learning rate range test (Smith, 2017, arXiv 1506.01186): the rate of the steepest loss.

    The found rate is that of the head for the whole training. So the test trains as the epochs
    without frozen stages do, and each stage has its share of the rate by ``layer_decay``.

    Args:
        steps: training steps of the test; the rate grows exponentially over them.
    """

    def __init__(self, steps: int = 100) -> None:
        super().__init__(min_lr=1e-6, num_training_steps=steps, update_attr=False)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _require_start(trainer, "finetune.find_lr")
        model = cast("Classifier", pl_module)
        max_epochs = trainer.fit_loop.max_epochs
        model.stops_on_non_finite_loss = False  # the test ends when the loss diverges
        trainer.fit_loop.max_epochs = -1  # or after its steps, over as many epochs as needed
        try:
            with (
                _hide_bar_outside_terminals(),
                _own_checkpoint(trainer),
                _every_stage_trained(trainer, model),
                _shares_of_groups(trainer),
            ):
                self.lr_find(trainer, model)
        finally:
            trainer.fit_loop.max_epochs = max_epochs
            model.stops_on_non_finite_loss = True
        results = self.optimal_lr.results if self.optimal_lr else {"lr": [], "loss": []}
        best_rate = steepest(results["lr"], results["loss"])
        if best_rate is None:
            raise UsageError(
                "finetune.find_lr",
                expected="more steps, for the test needs a dozen before the loss diverges",
                found=str(len(results["loss"])),
                remedy="set a smaller data.batch_size, more epochs, or model.lr yourself",
            )
        # The value that is printed: with it a later command goes on from a checkpoint.
        best_rate = float(f"{best_rate:.2g}")
        model.lr = model.hparams["lr"] = best_rate
        trainer.strategy.setup_optimizers(trainer)  # with the new rate
        if trainer.is_global_zero:
            print(f"learning rate found: model.lr={best_rate}")


class FindBatchSize(BatchSizeFinder):
    """Doubles the batch until GPU memory is full, and uses the last size that fitted."""

    def __init__(self) -> None:
        super().__init__(mode="power", init_val=8)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str | None = None) -> None:
        self._require_one_gpu(trainer)
        super().setup(trainer, pl_module, stage)

    def _require_one_gpu(self, trainer: Trainer) -> None:
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
        with isolate_rng(), _own_checkpoint(trainer):
            self.scale_batch_size(trainer, pl_module)
        data_of(trainer).batch_size = cast("Any", self.optimal_batch_size)
        trainer.strategy.setup_optimizers(trainer)  # the schedule depends on the number of steps
        print(f"batch size found: data.batch_size={self.optimal_batch_size}")


def steepest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Return the learning rate with the most negative d loss / d log(rate).

    Lightning's own suggestion uses d loss / d rate. That favours the smallest rates, which lie
    closest together, because the noise of the losses there is divided by tiny differences.

    Args:
        rates: exponentially growing learning rates, (n,).
        losses: their losses as a running mean, (n,).

    Returns:
        None if there are too few finite losses.
    """
    rate, loss = np.asarray(rates[_SKIPPED_LOSSES:]), np.asarray(losses[_SKIPPED_LOSSES:])
    finite = np.isfinite(loss)
    rate, loss = rate[finite], loss[finite]
    if len(loss) < _MIN_LOSSES:
        return None
    # Ignore what follows the minimum: losses that diverge and may come back.
    end = max(int(loss.argmin()) + 1, _MIN_LOSSES)
    slopes = np.gradient(loss[:end], np.log(rate[:end]))
    return float(rate[int(slopes.argmin())])


@contextlib.contextmanager
def _own_checkpoint(trainer: Trainer) -> Iterator[None]:
    """Let a search restore the checkpoint that it makes: no training goes on from one.

    Lightning's finders save the start of the training and restore it as any checkpoint. Its path
    would stay that of the Trainer, and its options of the optimizer are not those of the search.
    """
    path = trainer.ckpt_path
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    trainer.callbacks = [each for each in callbacks if not isinstance(each, ResumedOptions)]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        trainer.callbacks = callbacks  # type: ignore[attr-defined]
        trainer.ckpt_path = path


@contextlib.contextmanager
def _every_stage_trained(trainer: Trainer, model: Classifier) -> Iterator[None]:
    """Train also the parameters that the first epochs keep frozen, and freeze them again."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    frozen = []
    if any(isinstance(each, GradualUnfreezing) for each in callbacks):
        frozen = [each for each in model.parameters() if not each.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
            parameter.grad = None


@contextlib.contextmanager
def _shares_of_groups(trainer: Trainer) -> Iterator[None]:
    """Keep each parameter group's share of the first one's rate; Lightning's test has one rate."""
    optimizer = trainer.optimizers[0]
    rates = [group.get("initial_lr", group["lr"]) for group in optimizer.param_groups]

    def scale(*_: object) -> None:
        # Lightning's schedule, which knows the rate of the step, sets it again after each step.
        rate = cast("Any", trainer.lr_scheduler_configs[0].scheduler).lr[0]
        for group, own in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * own / rates[0]

    hook = optimizer.register_step_pre_hook(scale)
    try:
        yield
    finally:
        hook.remove()


@contextlib.contextmanager
def _hide_bar_outside_terminals() -> Iterator[None]:
    """Discard stderr unless it is a terminal: Lightning's finder always draws a bar."""
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
