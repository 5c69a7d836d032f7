"""A learning rate schedule that the user chose: its errors before training, and its steps."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningCLI
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from src.errors import UsageError
from src.system.console import open_console

# By their documentation these take a step after every batch. LightningCLI steps every schedule once
# an epoch, so that the learning rate stays near its first value.
_BY_BATCH = (OneCycleLR, CyclicLR)


def combine(module: LightningModule, optimizer: torch.optim.Optimizer, schedule: Any) -> Any:
    """Return the user's optimizer and schedule as ``configure_optimizers`` does.

    A line tells how often the schedule takes a step, because its options count these steps.

    Raises:
        UsageError: the schedule ends before the training.
    """
    check_schedule(optimizer, schedule)
    trainer = module.trainer
    if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
        return LightningCLI.configure_optimizers(module, optimizer, schedule)
    by_batch = isinstance(schedule, _BY_BATCH)
    steps = trainer.estimated_stepping_batches if by_batch else _epochs(trainer)
    if isinstance(schedule, OneCycleLR):
        _require_length(schedule.total_steps, steps)
    if trainer.is_global_zero:
        count = f", {steps:.0f} in this training" if math.isfinite(steps) else ""
        name, unit = type(schedule).__name__, "epoch"
        if by_batch:
            unit = "batch" if trainer.accumulate_grad_batches == 1 else "step of the optimizer"
        open_console().print(f"lr_scheduler={name}: it takes a step after each {unit}{count}")
    interval = "step" if by_batch else "epoch"
    return [optimizer], [{"scheduler": schedule, "interval": interval}]


def _require_length(length: int, steps: float) -> None:
    """Refuse fewer steps than the training has: torch raises an error after the last one."""
    if length >= steps:
        return
    if math.isinf(steps):
        raise UsageError(
            "lr_scheduler.total_steps",
            expected="a training that ends",
            found=f"{length}, and a training without end",
            remedy=f"set trainer.max_steps={length}",
        )
    raise UsageError(
        "lr_scheduler.total_steps",
        expected=f"{steps:.0f} or more, for this schedule takes a step after each batch",
        found=str(length),
        remedy=f"set lr_scheduler.total_steps={steps:.0f}",
    )


def _epochs(trainer: Trainer) -> float:
    limit = trainer.max_epochs
    return math.inf if limit is None or limit < 0 else limit


def check_schedule(optimizer: torch.optim.Optimizer, schedule: Any) -> None:
    """Take one step of a learning rate schedule and undo it, so that its errors show early.

    Some mistakes, such as a step size of 0, raise an error at the first step only. That step may
    be hours away.
    """
    earlier_groups = [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]
    state = schedule.state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch expects a step of the optimizer first
        if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
            schedule.step(0.0)
        else:
            schedule.step()
    schedule.load_state_dict(state)
    for group, earlier in zip(optimizer.param_groups, earlier_groups, strict=True):
        group.update(earlier)
