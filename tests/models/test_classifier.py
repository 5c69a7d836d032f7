from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from src import models
from src.errors import NonFiniteLossError, UsageError
from src.models import batch_norm_statistics
from src.models.batch_norm_statistics import freeze_statistics
from src.models.metrics import MOST_CLASSES, ClassCounts
from src.models.optimization import parameter_groups
from tests.support.tiny_classifier import CLASSES, TinyNet, loader, tiny_network, trainer


def test_every_architecture_is_named_by_its_module() -> None:
    for name in models.__all__:
        kind = getattr(models, name)
        assert kind.__module__ == f"src.models.{kind.__module__.split('.')[-1]}"
        model = kind(CLASSES)
        assert model.name == kind.__module__.split(".")[-1]
        assert model.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, len(CLASSES))


def test_only_convolution_and_linear_weights_decay() -> None:
    model = models.ConvNeXtTiny(CLASSES)
    decayed, others = parameter_groups(model.network, model.lr, layer_decay=1)
    names = {id(value): name for name, value in model.network.named_parameters()}
    assert all(names[id(value)].endswith("weight") for value in decayed["params"])
    not_decayed = [names[id(value)] for value in others["params"]]
    assert others["weight_decay"] == 0
    assert any(name.endswith("layer_scale") for name in not_decayed)
    assert any(name.endswith("bias") for name in not_decayed)
    assert len(decayed["params"]) + len(not_decayed) == len(names)


def test_the_learning_rate_rises_then_falls_to_zero(tmp_path: Path) -> None:
    rates: list[float] = []

    class Recording(TinyNet):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            rates.append(self.optimizers().param_groups[0]["lr"])

    fit = trainer(tmp_path, max_epochs=10)
    fit.fit(Recording(lr=0.5, warmup_fraction=0.2), loader(), loader())
    assert len(rates) == 30
    # Recorded after the step, so the first value is the rate of the second step: 2/6 of the peak.
    assert rates[:5] == pytest.approx([0.5 * step / 6 for step in (2, 3, 4, 5, 6)])
    assert rates[17] == pytest.approx(0.25)
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert all(later <= earlier for earlier, later in pairwise(rates[5:]))


def test_training_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"trainer.max_epochs: expected a limit"):
        trainer(tmp_path, max_epochs=-1).fit(TinyNet(), loader(), loader())


def test_a_non_finite_loss_stops_the_training_and_names_its_step(tmp_path: Path) -> None:
    images = torch.randn(12, 3, 8, 8)
    images[9] = math.nan  # of the third batch
    fit = trainer(tmp_path)
    with pytest.raises(NonFiniteLossError, match="not finite at step 2:"):
        fit.fit(TinyNet(), loader(images), loader())


def test_gradients_are_clipped_under_a_fused_optimizer(tmp_path: Path) -> None:
    norms: list[float] = []

    class Recording(TinyNet):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            norms.append(
                float(nn.utils.get_total_norm([value.grad for value in self.parameters()]))
            )

    options = {"gradient_clip_val": 1e-3, "precision": "bf16-mixed"}
    trainer(tmp_path, **options).fit(Recording(), loader(), loader())
    assert norms
    assert max(norms) <= 1.001e-3


def test_metrics_are_those_of_the_whole_split(tmp_path: Path) -> None:
    model = TinyNet()
    fit = trainer(tmp_path)
    data = loader()
    logged = fit.test(model, data, verbose=False)[0]
    images, targets = (torch.cat(part) for part in zip(*data, strict=True))
    correct = model.eval()(images).argmax(dim=1) == targets
    assert logged["test/top1"] == pytest.approx(float(correct.float().mean()))
    assert logged["test/top5"] == 1.0  # of three classes
    for label, name in enumerate(CLASSES):
        expected = float(correct[targets == label].float().mean())
        assert logged[f"test/top1_of/{name}"] == pytest.approx(expected)


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    weights = []
    for _ in range(2):
        torch.manual_seed(7)
        model = TinyNet()
        trainer(tmp_path).fit(model, loader(), loader())
        weights.append(model.network[0].weight.detach().clone())
    assert torch.equal(*weights)


def test_a_class_without_test_images_has_no_test_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    model = TinyNet()
    logged: dict[str, float] = {}
    monkeypatch.setattr(model, "log", lambda name, value: logged.update({name: float(value)}))
    predicted, labels = torch.tensor([0, 1, 0, 2]), torch.tensor([0, 0, 0, 2])
    model.per_class.update(torch.eye(3)[predicted], labels)
    model.on_test_epoch_end()
    assert logged == {"test/top1_of/ant": pytest.approx(2 / 3), "test/top1_of/cat": 1}


def test_of_many_classes_those_of_the_lowest_accuracy_are_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = TinyNet()
    model.class_names = [f"class {number}" for number in range(300)]
    model.per_class = ClassCounts(300)
    logged: dict[str, float] = {}
    monkeypatch.setattr(model, "log", lambda name, value: logged.update({name: float(value)}))
    labels = torch.arange(300)
    predicted = torch.where(labels % 10 == 0, 0, labels)
    model.per_class.update(torch.eye(300)[predicted], labels)
    model.on_test_epoch_end()
    assert len(logged) == MOST_CLASSES == 100
    wrong = {name for name, value in logged.items() if value == 0}
    assert wrong == {f"test/top1_of/class {number}" for number in range(10, 300, 10)}


def statistics_by_step(tmp_path: Path, **options: Any) -> list[Tensor]:
    """Return a BatchNorm's running mean after each of ten steps in two validated epochs."""
    means: list[Tensor] = []

    class Recording(TinyNet):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            means.append(self.network[1].running_mean.clone())

    images = torch.randn(20, 3, 8, 8)
    trainer(tmp_path).fit(Recording(**options), loader(images), loader())
    assert len(means) == 10
    return means


@pytest.mark.parametrize(
    ("fraction", "min_steps", "first_frozen"),
    [(0.3, 0, 7), (0.6, 0, 4), (0.05, 0, 10), (0.0, 0, 10), (0.6, 8, 8), (0.6, 200, 10)],
)
def test_batch_norm_statistics_are_frozen_in_the_last_steps(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fraction: float,
    min_steps: int,
    first_frozen: int,
) -> None:
    """Validation, which switches the network to eval mode and back, does not unfreeze them."""
    monkeypatch.setattr(batch_norm_statistics, "MIN_STEPS", min_steps)
    means = statistics_by_step(tmp_path, freeze_statistics_fraction=fraction)
    changed = [not torch.equal(before, after) for before, after in pairwise(means)]
    assert changed == [step < first_frozen for step in range(1, 10)]


def test_freezing_statistics_keeps_the_weights_trainable() -> None:
    network = nn.Sequential(tiny_network(), nn.Dropout(), nn.LayerNorm(3)).train()
    freeze_statistics(network)
    training = [type(module).__name__ for module in network.modules() if module.training]
    assert "Dropout" in training
    assert "BatchNorm2d" not in training
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("fraction", [-0.1, 1.0, math.nan])
def test_a_fraction_of_steps_outside_0_to_1_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match=r"model.freeze_statistics_fraction: expected"):
        TinyNet(freeze_statistics_fraction=fraction)
