"""The optimizer's parameter groups, and the learning rate over the steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd

from src.models.stages import stages


def parameter_groups(network: nn.Module, lr: float, layer_decay: float) -> list[dict[str, Any]]:
    """The groups of an optimizer: weight decay on convolutions and linear layers only.

    Args:
        network: all of whose parameters are trained.
        lr: of the head.
        layer_decay: the learning rate of a stage is this times that of the next one nearer to
            the head (Clark et al., 2020, arXiv 2003.10555); 1 for the same everywhere.
    """
    if layer_decay == 1:
        return _decayed_and_others(network)
    groups = []
    # The head first, whose learning rate is the one that is logged.
    for distance, stage in enumerate(reversed(stages(network))):
        rate = lr * layer_decay**distance
        groups += [{**group, "lr": rate} for group in _decayed_and_others(stage)]
    return [group for group in groups if group["params"]]


def warmup_cosine(steps: int, warmup_fraction: float) -> Callable[[int], float]:
    """The factor of the learning rate at each step: linear warm-up, then a cosine to zero.

    Loshchilov & Hutter, 2017, "SGDR", arXiv 1608.03983.
    """
    warmup = max(1, round(warmup_fraction * steps))
    rest = max(1, steps - warmup)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / rest)))

    return factor


def _decayed_and_others(part: nn.Module) -> list[dict[str, Any]]:
    decayed = [
        module.weight for module in part.modules() if isinstance(module, _ConvNd | nn.Linear)
    ]
    known = {id(parameter) for parameter in decayed}
    others = [value for value in part.parameters() if id(value) not in known]
    return [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
