"""A check of a learning rate schedule that the user chose, before training."""

from __future__ import annotations

import warnings
from typing import Any

import torch


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
