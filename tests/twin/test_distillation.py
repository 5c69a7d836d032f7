"""The loss of a student, and the noise that it is trained without."""

from __future__ import annotations

import torch
import torchvision
from torch import nn
from torchvision.ops import StochasticDepth

from src.twin.distillation import distillation_loss
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
