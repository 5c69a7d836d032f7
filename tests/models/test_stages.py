from __future__ import annotations

import pytest
import torch

from src import models
from src.models.stages import stages

COUNTS = {"ResNet34": 6, "DenseNet121": 9, "EfficientNetB0": 10, "ConvNeXtTiny": 9}


@pytest.mark.parametrize("name", models.__all__)
def test_stages_hold_all_weights_in_order_with_the_head_last(name: str) -> None:
    network = getattr(models, name)(["a", "b", "c"]).network
    parts = stages(network)
    assert len(parts) == COUNTS[name]
    names = {id(value): key for key, value in network.named_parameters()}
    ordered = [names[id(value)] for part in parts for value in part.parameters()]
    assert ordered == list(names.values())
    assert parts[-1][-1](torch.zeros(2, *_input_of_head(parts[-1]))).shape[-1] == 3


def _input_of_head(head: torch.nn.ModuleList) -> tuple[int, ...]:
    linear = next(part for part in head.modules() if isinstance(part, torch.nn.Linear))
    has_norm = any(isinstance(part, torch.nn.Flatten) for part in head.modules())
    return (linear.in_features, 1, 1) if has_norm else (linear.in_features,)
