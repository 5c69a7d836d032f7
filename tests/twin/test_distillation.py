"""The loss of a student, and the noise that it is trained without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from lightning.pytorch import Callback
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from torchvision.ops import StochasticDepth

from src.errors import LightshipError
from src.models.batch_norm_statistics import FrozenStatistics
from src.twin.distillation import Distillation, distillation_loss
from src.twin.replacements import without_noise
from src.twin.time_limit import TimeLimit
from tests.support.tiny_classifier import trainer


def test_logits_that_are_moved_by_a_constant_are_not_those_of_the_teacher() -> None:
    logits = torch.tensor([[1.0, 2.0, 4.0]])
    assert distillation_loss(logits, logits, 2.0).item() == 0
    assert distillation_loss(logits + 6, logits, 2.0).item() > 1
    assert distillation_loss(logits.flip(1), logits, 2.0).item() > 1


def eval_norms(network: nn.Module) -> nn.Module:
    """Set a network to train mode, but for BatchNorm."""
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    return network


class Attention(nn.Module):
    """Attention that reads the rate of its module, as timm's does."""

    def __init__(self) -> None:
        super().__init__()
        self.attn_drop = nn.Dropout(0.5)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        rate = self.attn_drop.p if self.training else 0.0
        return functional.scaled_dot_product_attention(values, values, values, dropout_p=rate)


class Rated(nn.Module):
    """A module that passes its own rate to a function."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        setattr(self, name, 0.5)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return functional.dropout(values, getattr(self, self.name), self.training)


class PatchDropout(nn.Module):
    """Drops tokens with a probability that has a name of its own, as timm's does."""

    def __init__(self) -> None:
        super().__init__()
        self.prob = 0.5

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return functional.dropout(values, self.prob, self.training)


class SelfAttention(nn.MultiheadAttention):
    def forward(self, values: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        result: torch.Tensor = super().forward(values, values, values)[0]
        return result


NOISY: dict[str, Callable[[], nn.Module]] = {
    "a rate that attention reads": Attention,
    "a rate of DenseNet": lambda: Rated("drop_rate"),
    "a rate of Swin": lambda: Rated("attention_dropout"),
    "a rate of EfficientNet": lambda: Rated("drop_path_rate"),
    "dropped patches": PatchDropout,
    "attention of torch": lambda: SelfAttention(4, 2, dropout=0.5, batch_first=True),
    "alpha dropout": nn.AlphaDropout,
    "dropout in place": lambda: nn.Dropout(0.5, inplace=True),
    "stochastic depth": lambda: StochasticDepth(0.5, "row"),
}


@pytest.mark.parametrize("name", NOISY)
def test_a_student_answers_in_training_as_in_inference(name: str) -> None:
    network = NOISY[name]().eval()
    values = torch.randn(16, 8, 4)
    with torch.no_grad():
        expected = network(values.clone())
        torch.manual_seed(0)
        assert not torch.allclose(network.train()(values.clone()), expected)
        quiet = without_noise(network)
        assert torch.allclose(quiet.train()(values.clone()), expected, atol=1e-6)


def test_a_student_has_neither_dropout_nor_stochastic_depth() -> None:
    network = torchvision.models.efficientnet_b0(num_classes=3).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = network(images)
        quiet = without_noise(network)
        assert torch.equal(quiet(images), expected)
        assert torch.allclose(eval_norms(quiet)(images), expected, atol=1e-6)
    noisy = [each for each in quiet.modules() if isinstance(each, nn.Dropout | StochasticDepth)]
    assert len(noisy) > 1
    assert {each.p for each in noisy} == {0.0}


def test_timms_attention_can_be_trained_as_a_student() -> None:
    timm = pytest.importorskip("timm")
    options = {"img_size": 32, "depth": 1, "num_classes": 3, "attn_drop_rate": 0.5}
    network = timm.create_model("vit_tiny_patch16_224", drop_path_rate=0.5, **options).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = network(images)
        assert torch.allclose(without_noise(network).train()(images), expected, atol=1e-5)


def test_a_loss_that_is_not_finite_ends_the_training_in_one_line() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    module = Distillation(network, nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), 3, 1, 0.1)
    images = torch.full((2, 3, 2, 2), torch.nan)
    with pytest.raises(LightshipError, match="the loss is not finite at step 0; set a lower lr"):
        module.training_step((images, torch.zeros(2)), 0)


def test_statistics_are_frozen_by_the_time_of_the_training() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    limit = TimeLimit(100.0, spent=40.0)
    [callback] = Distillation(network, network, 3, 1, 0.1, limit=limit).configure_callbacks()
    assert isinstance(callback, FrozenStatistics)
    assert callback._elapsed is not None
    assert callback._elapsed() == 0.4


def test_callbacks_get_the_mean_distillation_loss_of_the_epoch(tmp_path: Path) -> None:
    losses: list[float] = []

    class Recorder(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
            losses.append(float(outputs["loss"]))

    teacher, student = (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)) for _ in range(2))
    module = Distillation(teacher, student, 3, 3, 0.1)
    data = TensorDataset(torch.randn(12, 3, 2, 2), torch.zeros(12))
    fit = trainer(tmp_path, max_epochs=1, limit_val_batches=0, callbacks=[Recorder()])
    batches = DataLoader(data, batch_size=4)
    fit.fit(module, batches, batches)
    assert len(losses) == 3
    assert float(fit.callback_metrics["train/loss"]) == pytest.approx(sum(losses) / 3)
