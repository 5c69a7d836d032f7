"""Mixup, class weights, the balanced sampler and test-time augmentation in small trainings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from src.callbacks.finetune import ClassWeights
from src.data.datasets.digits import Digits
from tests.support.small_training import SmallNet, fit_digits


@pytest.mark.parametrize("options", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 1, "cutmix": 1}])
def test_mixup_and_cutmix_apply_to_training_batches_only(
    options: dict[str, float], tmp_path: Path
) -> None:
    batches: dict[str, list[Tensor]] = {"train": [], "val": []}

    class RecordingNet(SmallNet):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            batches["train"].append(batch[1])
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            batches["val"].append(batch[1])
            super().validation_step(batch, batch_idx)

    data = Digits(image_size=16, batch_size=16, num_workers=0, **options)
    fit_digits(tmp_path, RecordingNet(), data, precision="64-true")
    for targets in batches["train"]:
        assert targets.shape == (16, 10)
        torch.testing.assert_close(targets.sum(dim=1).double(), torch.ones(16).double())
    assert any(((targets > 0) & (targets < 1)).any() for targets in batches["train"])
    assert all(labels.dtype == torch.int64 for labels in batches["val"])


def imbalanced_digits(balance: str) -> Digits:
    """Return the digits with a tenth of class 3."""
    data = Digits(image_size=8, batch_size=64, num_workers=0, balance=balance)
    parts = data.load()
    images, indices = parts["train"]
    labels = images.targets[indices]
    kept = (labels != 3) | (torch.arange(len(labels)).numpy() % 10 == 0)
    parts["train"] = (images, indices[kept])
    data._parts = parts
    return data


def test_class_weights_reach_the_loss(tmp_path: Path) -> None:
    data = imbalanced_digits("weights")
    weights = data.class_weights()
    counts = torch.bincount(torch.from_numpy(data.dataset("train").targets))
    torch.testing.assert_close(weights * counts, torch.full((10,), counts.sum().item() / 10))
    model = SmallNet()
    fit_digits(tmp_path, model, data, callbacks=[ClassWeights()])
    assert torch.equal(model.class_weights, weights)
    model.trainer = fit_digits(
        tmp_path, SmallNet(), imbalanced_digits("none"), callbacks=[ClassWeights()]
    )
    assert model.trainer.lightning_module.class_weights is None
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([3, 3, 1, 0])
    model.log = lambda *_, **__: None  # type: ignore[method-assign]
    model.eval()
    expected = nn.functional.cross_entropy(
        model(images), labels, weight=weights, label_smoothing=0.1, reduction="none"
    ).mean()
    torch.testing.assert_close(model.training_step((images, labels), 0), expected)


def test_a_balanced_sampler_draws_all_classes_about_equally_often() -> None:
    data = imbalanced_digits("sampler")
    torch.manual_seed(0)
    drawn: DataLoader[Any] = data.train_dataloader()
    counts = torch.bincount(torch.cat([labels for _, labels in drawn]), minlength=10)
    assert counts.min() > 0.6 * counts.max()
    assert torch.bincount(torch.from_numpy(data.dataset("train").targets))[3] < 15


def test_flip_at_test_time_averages_the_image_and_its_mirror_image() -> None:
    model = SmallNet(test_time_augmentation="flip").eval()
    images = torch.randn(4, 3, 16, 16)
    expected = (model(images).softmax(1) + model(images.flip(-1)).softmax(1)) / 2
    averaged = model.predict_step((images, torch.zeros(4)), 0)
    torch.testing.assert_close(averaged, expected)
    torch.testing.assert_close(model.predict_step((images.flip(-1), torch.zeros(4)), 0), expected)
    plain = SmallNet().eval()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(plain.predict_step((images, None), 0), model(images).softmax(1))
