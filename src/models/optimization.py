"""Parameter groups of the optimizer, and the learning rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from src.errors import UsageError
from src.models.stages import stages

ParameterGroup = dict[str, Any]  # as torch's optimizers take it


def parameter_groups(network: nn.Module, lr: float, layer_decay: float) -> list[ParameterGroup]:
    """Return parameter groups with weight decay on convolutions and linear layers only.

    Args:
        network: all its parameters are included.
        lr: learning rate of the head.
        layer_decay: factor of the learning rate from one stage to the next one towards the input
            (Clark et al., 2020, arXiv 2003.10555); 1 for the same rate everywhere.
    """
    if layer_decay == 1:
        return _decayed_and_others(network)
    groups = []
    seen: set[int] = set()  # stages may share parameters; these are in the one nearest the head
    # The head comes first, because the learning rate of the first group is logged.
    for distance, stage in enumerate(reversed(stages(network))):
        rate = lr * layer_decay**distance
        for group in _decayed_and_others(stage):
            own = [value for value in group["params"] if id(value) not in seen]
            seen.update(map(id, own))
            groups.append({**group, "params": own, "lr": rate})
    return [group for group in groups if group["params"]]


def warmup_cosine(steps: float, warmup_fraction: float) -> Callable[[int], float]:
    """Return the learning rate factor by step: linear warm-up, then cosine decay to zero.

    Loshchilov & Hutter, 2017, "SGDR", arXiv 1608.03983.

    Args:
        steps: number of all steps.
        warmup_fraction: share of them over which the factor rises to 1.

    Raises:
        UsageError: ``steps`` is infinite.
    """
    if math.isinf(steps):
        raise UsageError(
            "trainer.max_epochs",
            expected="a limit, for the learning rate falls to zero at the end",
            found="training without end",
            remedy="set trainer.max_epochs or trainer.max_steps",
        )
    warmup = max(1, round(warmup_fraction * steps))
    decay_steps = max(1, steps - warmup)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / decay_steps)))

    return factor


def _decayed_and_others(part: nn.Module) -> list[ParameterGroup]:
    decayed = [
        module.weight for module in part.modules() if isinstance(module, _ConvNd | nn.Linear)
    ]
    decayed_ids = {id(parameter) for parameter in decayed}
    others = [value for value in part.parameters() if id(value) not in decayed_ids]
    return [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
