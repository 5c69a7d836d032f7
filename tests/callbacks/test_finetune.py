"""Fine-tuning's options in trainings of a few weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from src.callbacks.averaging import MovingAverage
from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from src.callbacks.finetune import ClassWeights, FinetuneOptions
from src.callbacks.lr_and_batch_size_finders import FindBatchSize, FindLearningRate, steepest
from src.callbacks.unfreezing import GradualUnfreezing
from src.data.datasets.digits import Digits
from src.errors import UsageError
from src.export.source import Checkpoint
from src.models.classifier import Classifier
from src.models.stages import stages
from tests.models.test_classifier import TinyNet, loader, trainer


class Watch(Callback):
    """The weights after each step, and which parts are frozen in each epoch."""

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []
        self.frozen: list[list[bool]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
        state = pl_module.network.state_dict()
        self.weights.append({name: value.clone() for name, value in state.items()})

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, index: int) -> None:
        if index == 0:
            parts = stages(pl_module.network)
            self.frozen.append(
                [not any(value.requires_grad for value in part.parameters()) for part in parts]
            )
            assert [part[0].training for part in parts] == [not each for each in self.frozen[-1]]


def test_only_the_head_is_trained_until_unfreezing(tmp_path: Path) -> None:
    watch = Watch()
    model = TinyNet()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    fit = trainer(tmp_path, max_epochs=3, callbacks=[GradualUnfreezing(2), watch])
    fit.fit(model, loader(), loader())
    assert watch.frozen == [[True, False], [True, False], [False, False]]
    second, third = watch.weights[5], watch.weights[8]
    for name in ("0.weight", "1.weight", "1.running_mean"):
        assert torch.equal(before[name], second[name]), name
        assert not torch.equal(before[name], third[name]), name
    assert not torch.equal(before["4.weight"], second["4.weight"])
    # It learns at the schedule's rate, not at one of its own.
    rates = [group["lr"] for group in fit.optimizers[0].param_groups]
    assert len(set(rates)) == 1


def test_stages_are_unfrozen_one_by_one_from_the_head() -> None:
    unfreezing = GradualUnfreezing(2, 3)
    assert [unfreezing.frozen(epoch, 4) for epoch in (0, 1, 2, 4, 5, 8, 11, 99)] == [
        *(4, 4, 3, 3, 2, 1, 0, 0),
    ]
    assert [GradualUnfreezing(1).frozen(epoch, 4) for epoch in (0, 1)] == [4, 0]


def test_unfreezing_with_several_processes_is_refused(tmp_path: Path) -> None:
    fit = trainer(tmp_path, devices=2, strategy="ddp")
    with pytest.raises(UsageError, match=r"finetune.freeze_epochs: expected 0"):
        GradualUnfreezing(1).setup(fit, TinyNet(), "fit")


def test_averaged_weights_are_validated_saved_and_exported(tmp_path: Path) -> None:
    watch = Watch()
    validated: list[Tensor] = []

    class Seen(TinyNet):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            validated.append(self.network[0].weight.detach().clone())
            super().validation_step(batch, batch_idx)

    callbacks: list[Callback] = [MovingAverage(0.9), watch, LastCheckpoint(), BestCheckpoint()]
    for callback in callbacks[2:]:
        callback.dirpath = str(tmp_path)
    model = Seen(lr=0.05)
    settings = {"callbacks": callbacks, "enable_checkpointing": True, "num_sanity_val_steps": 0}
    trainer(tmp_path, **settings).fit(model, loader(), loader())

    expected = watch.weights[0]["0.weight"]
    for step, weights in enumerate(watch.weights[1:], start=1):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights["0.weight"]
    assert not torch.allclose(expected, watch.weights[-1]["0.weight"])
    torch.testing.assert_close(validated[-1], expected)
    last = Checkpoint.read(tmp_path / "last.ckpt")
    torch.testing.assert_close(last.weights["0.weight"], expected)
    assert int(last.weights["1.num_batches_tracked"]) == len(watch.weights)
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    own = content["current_model_state"]["network.0.weight"]
    assert torch.equal(own, watch.weights[-1]["0.weight"])
    best = Checkpoint.read(tmp_path / "best.ckpt")
    assert any(torch.equal(best.weights["0.weight"], weights) for weights in validated)


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_a_resumed_training_continues_its_moving_average(tmp_path: Path) -> None:
    finals = []
    for parts in ((4,), (2, 4)):
        path = None
        for epochs in parts:
            torch.manual_seed(3)
            last = LastCheckpoint()
            last.dirpath = str(tmp_path / f"{parts}")

            class Constant(TinyNet):
                def schedule(self, optimizer: Any) -> dict[str, Any]:
                    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
                    return {"scheduler": schedule}

            images = torch.linspace(-1, 1, 12 * 3 * 64).reshape(12, 3, 8, 8)
            fit = trainer(
                tmp_path,
                max_epochs=epochs,
                callbacks=[MovingAverage(0.9), last],
                enable_checkpointing=True,
                num_sanity_val_steps=0,
            )
            fit.fit(Constant(), loader(images), loader(images), ckpt_path=path)
            path = str(Path(last.dirpath) / "last.ckpt")
        finals.append(torch.load(path, weights_only=True)["state_dict"]["network.0.weight"])
    torch.testing.assert_close(finals[0], finals[1])


def test_layer_decay_lowers_the_learning_rate_from_head_to_input(tmp_path: Path) -> None:
    fit = trainer(tmp_path)
    model = TinyNet(lr=0.1, layer_decay=0.5)
    fit.fit(model, loader(), loader())
    groups = fit.optimizers[0].param_groups
    assert [group["initial_lr"] for group in groups] == pytest.approx([0.1, 0.1, 0.05, 0.05])
    assert groups[0]["params"][0] is model.network[4].weight
    assert [group["weight_decay"] for group in groups] == [0.05, 0, 0.05, 0]
    assert sum(len(group["params"]) for group in groups) == 6


def test_patience_stops_a_training_without_improvement(tmp_path: Path) -> None:
    class Stuck(TinyNet):
        def on_validation_epoch_end(self) -> None:
            self.log("score", 0.5)

    callbacks = FinetuneOptions(patience=2).callbacks("score", "max")
    fit = trainer(tmp_path, max_epochs=20, callbacks=callbacks)
    fit.fit(Stuck(), loader(), loader())
    assert fit.current_epoch == 3


def test_default_finetune_options_add_no_callbacks() -> None:
    assert FinetuneOptions().callbacks("val/top1", "max") == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": -1}, "finetune.patience: expected a number of epochs"),
        ({"ema_decay": 1.0}, "finetune.ema_decay: expected a share below 1"),
        ({"unfreeze_epochs": 1}, "expected finetune.freeze_epochs beside it"),
    ],
)
def test_invalid_finetune_options_are_refused(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        FinetuneOptions(**options)


def fit_digits(folder: Path, model: Classifier, data: LightningDataModule, **options: Any) -> Any:
    settings = {"max_epochs": 1, "limit_train_batches": 3, "limit_val_batches": 1}
    fit = trainer(folder, **(settings | options))
    fit.fit(model, datamodule=data)
    return fit


def small() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 10)
    )


class SmallNet(TinyNet):
    """For the digits' ten classes."""

    def __init__(self, **options: Any) -> None:
        from src.models.network import NetworkSpec

        monkey = pytest.MonkeyPatch()
        with monkey.context() as patch:
            patch.setattr(NetworkSpec, "build", lambda _: small())
            names = [str(digit) for digit in range(10)]
            Classifier.__init__(self, names, **options)


def test_training_with_a_found_learning_rate_equals_training_with_it_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def trained(**options: Any) -> tuple[SmallNet, Watch]:
        torch.manual_seed(5)
        model, watch = SmallNet(**{"lr": 1e-3} | options.pop("model", {})), Watch()
        finder = [FindLearningRate(40)] if options.pop("find", False) else []
        data = Digits(image_size=16, batch_size=16, num_workers=0)
        fit_digits(tmp_path, model, data, callbacks=[*finder, watch])
        return model, watch

    found, first = trained(find=True)
    assert found.lr != 1e-3
    assert f"learning rate found: model.lr={found.lr:.2g}" in capsys.readouterr().out
    assert len(first.weights) == 3
    _, second = trained(model={"lr": found.lr})
    for one, other in zip(first.weights, second.weights, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert not list(tmp_path.glob(".lr_find*"))


def test_the_learning_rate_finder_ignores_noise_at_small_rates() -> None:
    rates = np.logspace(-6, 0, 100)
    fall = 1 / (1 + np.exp(4 * (np.log10(rates) + 2.5)))  # steepest at 10**-2.5
    noise = np.random.default_rng(0).normal(0, 0.003, 100)
    losses = fall + noise + np.where(rates > 0.1, (np.log10(rates) + 1) * 5, 0)
    found = steepest(rates.tolist(), losses.tolist())
    assert found is not None
    assert -2.8 < np.log10(found) < -2.2
    assert steepest([1e-6] * 12, [1.0] * 12) is None


def test_the_batch_size_finder_doubles_until_memory_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Full(SmallNet):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            if len(batch[1]) > 16:
                # What torch raises on a CPU where an allocation fails.
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return super().training_step(batch, batch_idx)

    monkeypatch.setattr(FindBatchSize, "_require_one_gpu", lambda *_: None)
    data = Digits(image_size=16, batch_size=4, num_workers=0)
    model, watch = Full(), Watch()
    fit = fit_digits(tmp_path, model, data, callbacks=[FindBatchSize(), watch])
    assert data.batch_size == 16
    assert "data.batch_size=16" in capsys.readouterr().out
    assert fit.train_dataloader.batch_size == 16
    assert len(watch.weights) == 3


def test_the_batch_size_finder_is_refused_on_a_cpu(tmp_path: Path) -> None:
    data = Digits(image_size=16, num_workers=0)
    with pytest.raises(UsageError, match=r"finetune.find_batch_size: expected false on a CPU"):
        fit_digits(tmp_path, SmallNet(), data, callbacks=[FindBatchSize()])


@pytest.mark.parametrize("options", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 1, "cutmix": 1}])
def test_mixup_and_cutmix_apply_to_training_batches_only(
    options: dict[str, float], tmp_path: Path
) -> None:
    seen: dict[str, list[Tensor]] = {"train": [], "val": []}

    class Seen(SmallNet):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            seen["train"].append(batch[1])
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            seen["val"].append(batch[1])
            super().validation_step(batch, batch_idx)

    data = Digits(image_size=16, batch_size=16, num_workers=0, **options)
    fit_digits(tmp_path, Seen(), data, precision="64-true")
    for shares in seen["train"]:
        assert shares.shape == (16, 10)
        torch.testing.assert_close(shares.sum(dim=1).double(), torch.ones(16).double())
    assert any(((shares > 0) & (shares < 1)).any() for shares in seen["train"])
    assert all(labels.dtype == torch.int64 for labels in seen["val"])


def uneven(balance: str) -> Digits:
    data = Digits(image_size=8, batch_size=64, num_workers=0, balance=balance)
    parts = data.load()
    images, indices = parts["train"]
    labels = images.targets[indices]
    kept = (labels != 3) | (torch.arange(len(labels)).numpy() % 10 == 0)
    parts["train"] = (images, indices[kept])
    data._parts = parts
    return data


def test_class_weights_reach_the_loss(tmp_path: Path) -> None:
    data = uneven("weights")
    weights = data.class_weights()
    counts = torch.bincount(torch.from_numpy(data.dataset("train").targets))
    torch.testing.assert_close(weights * counts, torch.full((10,), counts.sum().item() / 10))
    model = SmallNet()
    fit_digits(tmp_path, model, data, callbacks=[ClassWeights()])
    assert torch.equal(model.class_weights, weights)
    model.trainer = fit_digits(tmp_path, SmallNet(), uneven("none"), callbacks=[ClassWeights()])
    assert model.trainer.lightning_module.class_weights is None
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([3, 3, 1, 0])
    model.log = lambda *_, **__: None  # type: ignore[method-assign]
    model.eval()
    expected = nn.functional.cross_entropy(
        model(images), labels, weight=weights, label_smoothing=0.1
    )
    torch.testing.assert_close(model.training_step((images, labels), 0), expected)


def test_a_balanced_sampler_draws_all_classes_about_equally_often() -> None:
    data = uneven("sampler")
    torch.manual_seed(0)
    drawn: DataLoader[Any] = data.train_dataloader()
    counts = torch.bincount(torch.cat([labels for _, labels in drawn]), minlength=10)
    assert counts.min() > 0.6 * counts.max()
    assert torch.bincount(torch.from_numpy(data.dataset("train").targets))[3] < 15


def test_flip_at_test_time_averages_the_image_and_its_mirror_image() -> None:
    model = SmallNet(test_time_augmentation="flip").eval()
    images = torch.randn(4, 3, 16, 16)
    expected = (model(images).softmax(1) + model(images.flip(-1)).softmax(1)) / 2
    found = model.predict_step((images, torch.zeros(4)), 0)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(model.predict_step((images.flip(-1), torch.zeros(4)), 0), expected)
    plain = SmallNet().eval()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(plain.predict_step((images, None), 0), model(images).softmax(1))
