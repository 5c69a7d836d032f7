from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.callbacks import StochasticWeightAveraging
from torch import Tensor, nn

from src.callbacks.averaging import MovingAverage
from src.models import batch_norm_statistics
from src.models.batch_norm_statistics import (
    IMAGES,
    FrozenStatistics,
    freeze_statistics,
    reestimate_statistics,
    within_memory,
)
from tests.support.tiny_classifier import TinyNet, loader, tiny_network, trainer


def images(count: int = 130) -> Tensor:
    return 3 + 2 * torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_reestimated_statistics_match_the_current_weights() -> None:
    network = tiny_network().train()
    network[1].running_mean.fill_(99)
    reestimate_statistics(network, images())
    with torch.no_grad():
        batches = [network[0](batch) for batch in images().tensor_split(3)]  # of 44 and 43
    means = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    variances = torch.stack([batch.var((0, 2, 3)) for batch in batches]).mean(0)
    torch.testing.assert_close(network[1].running_mean, means)
    torch.testing.assert_close(network[1].running_var, variances)


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_statistics_are_reestimated_in_the_precision_of_the_weights(kind: torch.dtype) -> None:
    network = tiny_network().to(kind).train()
    network[1].running_mean.fill_(99)
    reestimate_statistics(network, images())
    assert network[1].running_mean.dtype == kind
    assert float(network[1].running_mean.abs().max()) < 20


@pytest.mark.parametrize("count", [2, 63, 64, 65, 66, 129, 193])
def test_no_batch_is_a_single_image(count: int) -> None:
    sizes: list[int] = []

    class Noting(nn.Flatten):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            sizes.append(len(input))
            return super().forward(input)

    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), Noting(), nn.BatchNorm1d(3), nn.Linear(3, 2))
    reestimate_statistics(pooled, images(count))
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1
    assert 2 <= min(sizes) <= max(sizes) <= 64


class Clocked(TinyNet):
    """A training of 12 steps whose time is over after a given number of them.

    Args:
        steps: after which the time is over.
    """

    def __init__(self, steps: int) -> None:
        super().__init__(freeze_statistics_fraction=0.5)
        self.steps = steps
        self.frozen: list[bool] = []  # by step

    def configure_callbacks(self) -> list[Callback]:
        return [FrozenStatistics(0.5, lambda: min(1.0, self.global_step / self.steps))]

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self.frozen.append(not self.network[1].training)
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize(
    ("steps", "least", "first"), [(12, 0, 6), (8, 0, 4), (4, 0, 2), (100, 0, 6), (4, 3, 3)]
)
def test_statistics_are_frozen_in_the_last_part_of_the_time_or_of_the_steps(
    steps: int, least: int, first: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_norm_statistics, "MIN_STEPS", least)
    model = Clocked(steps)
    trainer(tmp_path, max_epochs=4).fit(model, datamodule=Data())
    assert model.frozen == [step >= first for step in range(12)]


def test_statistics_that_the_time_has_frozen_are_not_reestimated_after_a_stop(
    tmp_path: Path, estimations: list[int]
) -> None:
    fit = trainer(tmp_path, max_epochs=1)
    fit.fit(Clocked(2), datamodule=Data())
    fit.save_checkpoint(tmp_path / "part.ckpt")
    estimations.clear()
    model = Clocked(2)
    trainer(tmp_path, max_epochs=2).fit(model, datamodule=Data(), ckpt_path=tmp_path / "part.ckpt")
    assert model.frozen == [True] * 3
    assert estimations == []


def test_each_batch_norm_gets_the_statistics_that_it_sees_in_inference() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.BatchNorm2d(3), nn.SiLU(), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    reestimate_statistics(network, images(64))
    normalised = network.eval()(images(64))
    torch.testing.assert_close(normalised.mean((0, 2, 3)), torch.zeros(4), atol=0.02, rtol=0)
    torch.testing.assert_close(normalised.var((0, 2, 3)), torch.ones(4), atol=0.05, rtol=0)


def test_reestimation_changes_only_the_statistics() -> None:
    network = nn.Sequential(
        tiny_network(), nn.Dropout(), nn.BatchNorm1d(3, track_running_stats=False)
    )
    network.train()
    network[0][4].eval()
    modes = {name: module.training for name, module in network.named_modules()}
    weights = {name: value.clone() for name, value in network.named_parameters()}
    state = torch.random.get_rng_state()
    reestimate_statistics(network, images())
    assert {name: module.training for name, module in network.named_modules()} == modes
    assert network[0][1].momentum == 0.1
    assert torch.equal(torch.random.get_rng_state(), state)
    for name, value in network.named_parameters():
        assert torch.equal(value, weights[name])


def test_a_frozen_stage_keeps_its_statistics() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    network[0].requires_grad_(False)
    reestimate_statistics(network, images())
    assert torch.equal(network[0].running_mean, torch.zeros(3))
    assert not torch.equal(network[2].running_mean, torch.zeros(4))


def test_a_fraction_of_0_turns_reestimation_and_freezing_off(tmp_path: Path) -> None:
    data = Data()
    trainer(tmp_path).fit(TinyNet(freeze_statistics_fraction=0.0), datamodule=data)
    assert data.requested_counts == []


def test_a_network_without_batchnorm_is_not_run() -> None:
    class Untouched(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            raise AssertionError

    reestimate_statistics(Untouched(2, 2), images())


class Data(LightningDataModule):
    """Data of three steps an epoch; records the requests for training images."""

    def __init__(self) -> None:
        super().__init__()
        self.requested_counts: list[int] = []

    def train_dataloader(self) -> Any:
        return loader()

    def val_dataloader(self) -> Any:
        return loader()

    def calibration_images(self, count: int) -> Tensor:
        self.requested_counts.append(count)
        return images(count)


def trained(folder: Path, checkpoint: Path | None = None, **options: Any) -> tuple[TinyNet, Data]:
    torch.manual_seed(3)
    model, data = TinyNet(freeze_statistics_fraction=0.5), Data()
    fit = trainer(folder, max_epochs=4, **options)
    fit.fit(model, datamodule=data, ckpt_path=checkpoint)
    fit.save_checkpoint(folder / "last.ckpt")
    return model, data


@pytest.fixture(autouse=True)
def estimations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the number of images of each re-estimation; allow freezing from step 0."""
    counts: list[int] = []

    def count_and_reestimate(network: nn.Module, sample: Tensor) -> None:
        counts.append(len(sample))
        reestimate_statistics(network, sample)

    monkeypatch.setattr(batch_norm_statistics, "reestimate_statistics", count_and_reestimate)
    monkeypatch.setattr(batch_norm_statistics, "MIN_STEPS", 0)
    return counts


def test_statistics_are_reestimated_before_validations_and_when_frozen(
    tmp_path: Path, estimations: list[int]
) -> None:
    model, data = trained(tmp_path)
    # At the validations of two epochs, and when they are frozen at the start of the third.
    assert estimations == 3 * [IMAGES]
    assert data.requested_counts == [1, IMAGES]  # decoded once
    mean = model.network[1].running_mean
    weight = model.network[0].weight.mean((2, 3)).sum(1)
    assert float(mean.abs().max()) > 0.5  # the training images have mean 3, the loader's 0
    assert mean.shape == weight.shape


@pytest.mark.parametrize("epochs", [2, 3])
def test_a_resumed_training_reestimates_statistics_at_the_same_steps(
    tmp_path: Path, epochs: int, estimations: list[int]
) -> None:
    """The training stops right before statistics are frozen, or while they are."""
    whole, _ = trained(tmp_path / "whole")
    steps = 3 * epochs

    class Stopped(TinyNet):
        def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
            super().on_train_batch_end(outputs, batch, batch_idx)
            if self.global_step == steps:
                self.trainer.save_checkpoint(tmp_path / "part.ckpt")
                raise KeyboardInterrupt

    torch.manual_seed(3)
    with pytest.raises(SystemExit):
        trainer(tmp_path, max_epochs=4).fit(
            Stopped(freeze_statistics_fraction=0.5), datamodule=Data()
        )
    estimations.clear()
    again, data = trained(tmp_path / "again", tmp_path / "part.ckpt")
    # Only when they are frozen: Lightning does not repeat the missed validation.
    assert estimations == ([IMAGES] if epochs == 2 else [])
    assert [each for each in data.requested_counts if each > 1] == estimations
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], value)


def test_averaged_weights_have_statistics_of_their_own(
    tmp_path: Path, estimations: list[int]
) -> None:
    """The average is validated and saved, but no training step has updated statistics for it."""
    _, data = trained(tmp_path, callbacks=[MovingAverage(0.9)])
    assert estimations == 5 * [IMAGES]  # at each of four validations, and when frozen
    assert data.requested_counts == [1, IMAGES]
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    network = tiny_network()
    network.load_state_dict(
        {name.removeprefix("network."): value for name, value in saved.items() if "network" in name}
    )
    before = network[1].running_mean.clone()
    reestimate_statistics(network, images(IMAGES))
    torch.testing.assert_close(network[1].running_mean, before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("validations", [1.0, 0], ids=["validated", "not validated"])
def test_weights_of_stochastic_weight_averaging_have_statistics(
    tmp_path: Path, validations: float
) -> None:
    """Statistics are frozen in the epochs before the one that only computes them."""
    averaging = StochasticWeightAveraging(0.01, swa_epoch_start=2)
    trained(tmp_path, callbacks=[averaging], limit_val_batches=validations)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    network = tiny_network()
    network.load_state_dict(
        {name.removeprefix("network."): value for name, value in state.items() if "network" in name}
    )
    mean, variance = network[1].running_mean.clone(), network[1].running_var.clone()
    assert mean.abs().max() > 0
    inputs = images(IMAGES) if validations else torch.cat([batch for batch, _ in loader()])
    reestimate_statistics(network, inputs)
    close = 1e-4 if validations else 0.5  # the loader's images are others in each call
    torch.testing.assert_close(network[1].running_mean, mean, rtol=0, atol=close)
    torch.testing.assert_close(network[1].running_var, variance, rtol=0, atol=close)


def test_gradients_flow_through_frozen_statistics() -> None:
    network = tiny_network().train()
    freeze_statistics(network)
    network(images(4)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("most_bytes", "expected"), [(1e9, 100), (50.5, 50), (1.0, 32)], ids=["all", "some", "least"]
)
def test_large_images_are_fewer(most_bytes: float, expected: int) -> None:
    """The memory is given in images."""
    size = images(1).nbytes
    assert len(within_memory(Data(), 100, most_bytes * size)) == expected
