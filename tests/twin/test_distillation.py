"""The loss of a student, and the noise that it is trained without."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn
from torchvision.ops import StochasticDepth

from src.errors import LightshipError
from src.twin.distillation import Distillation, distillation_loss
from src.twin.replacements import without_noise


def test_logits_that_are_moved_by_a_constant_are_not_those_of_the_teacher() -> None:
    logits = torch.tensor([[1.0, 2.0, 4.0]])
    assert distillation_loss(logits, logits, 2.0).item() == 0
    assert distillation_loss(logits + 6, logits, 2.0).item() > 1
    assert distillation_loss(logits.flip(1), logits, 2.0).item() > 1


def test_a_student_has_neither_dropout_nor_stochastic_depth() -> None:
    network = torchvision.models.efficientnet_b0(num_classes=3).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = network(images)
        quiet = without_noise(network)
        assert torch.equal(quiet(images), expected)
    kinds = {type(module) for module in quiet.modules()}
    assert not kinds & {nn.Dropout, StochasticDepth}


def test_a_loss_that_is_not_finite_ends_the_training_in_one_line() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    module = Distillation(network, nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), 3, 1, 0.1)
    images = torch.full((2, 3, 2, 2), torch.nan)
    with pytest.raises(LightshipError, match="the loss is not finite at step 0; set a lower lr"):
        module.training_step((images, torch.zeros(2)), 0)
