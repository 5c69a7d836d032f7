"""A step of what the user's options made, before the training: what is wrong with it shows now."""

from __future__ import annotations

import warnings
from typing import Any

import torch


def try_schedule(optimizer: torch.optim.Optimizer, schedule: Any) -> None:
    """Take a step of a learning rate's schedule, and take it back.

    A step size of 0, for example, is an error of the first step only, which may be hours away.
    """
    groups = [
        {name: value for name, value in group.items() if name != "params"}
        for group in optimizer.param_groups
    ]
    state = schedule.state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no step of the optimizer was before it
        if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
            schedule.step(0.0)
        else:
            schedule.step()
    schedule.load_state_dict(state)
    for group, before in zip(optimizer.param_groups, groups, strict=True):
        group.update(before)
