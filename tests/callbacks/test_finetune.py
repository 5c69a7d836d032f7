"""Fine-tuning options in trainings of a few weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor

from src.callbacks.averaging import MovingAverage
from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint
from src.callbacks.finetune import FinetuneOptions
from src.callbacks.unfreezing import GradualUnfreezing
from src.errors import UsageError
from src.export.source import Checkpoint
from tests.support.small_training import WeightRecorder
from tests.support.tiny_classifier import TinyNet, loader, trainer


def test_only_the_head_is_trained_until_unfreezing(tmp_path: Path) -> None:
    recorder = WeightRecorder()
    model = TinyNet()
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    fit = trainer(tmp_path, max_epochs=3, callbacks=[GradualUnfreezing(2), recorder])
    fit.fit(model, loader(), loader())
    assert recorder.frozen == [[True, False], [True, False], [False, False]]
    second, third = recorder.weights[5], recorder.weights[8]
    for name in ("0.weight", "1.weight", "1.running_mean"):
        assert torch.equal(before[name], second[name]), name
        assert not torch.equal(before[name], third[name]), name
    assert not torch.equal(before["4.weight"], second["4.weight"])
    # Unfrozen stages use the scheduled learning rate, not one of their own.
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
    recorder = WeightRecorder()
    validated: list[Tensor] = []

    class RecordingNet(TinyNet):
        def validation_step(self, batch: Any, batch_idx: int) -> None:
            validated.append(self.network[0].weight.detach().clone())
            super().validation_step(batch, batch_idx)

    callbacks: list[Callback] = [MovingAverage(0.9), recorder, LastCheckpoint(), BestCheckpoint()]
    for callback in callbacks[2:]:
        callback.dirpath = str(tmp_path)
    model = RecordingNet(lr=0.05)
    settings = {"callbacks": callbacks, "enable_checkpointing": True, "num_sanity_val_steps": 0}
    trainer(tmp_path, **settings).fit(model, loader(), loader())

    expected = recorder.weights[0]["0.weight"]
    for step, weights in enumerate(recorder.weights[1:], start=1):
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights["0.weight"]
    assert not torch.allclose(expected, recorder.weights[-1]["0.weight"])
    torch.testing.assert_close(validated[-1], expected)
    last = Checkpoint.read(tmp_path / "last.ckpt")
    torch.testing.assert_close(last.weights["0.weight"], expected)
    assert int(last.weights["1.num_batches_tracked"]) == len(recorder.weights)
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    not_averaged = content["current_model_state"]["network.0.weight"]
    assert torch.equal(not_averaged, recorder.weights[-1]["0.weight"])
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


@pytest.mark.parametrize(
    ("patience", "options", "steps"),
    [
        (2, {}, 9),
        (2, {"val_check_interval": 1}, 7),
        (2, {"val_check_interval": 1, "check_val_every_n_epoch": None}, 7),
        (4, {"check_val_every_n_epoch": 4}, 24),
        (1, {"check_val_every_n_epoch": 4}, 24),
        (6, {"check_val_every_n_epoch": 4}, 36),
    ],
)
def test_patience_counts_epochs_however_often_a_training_is_validated(
    patience: int, options: dict[str, Any], steps: int, tmp_path: Path
) -> None:
    class Stuck(TinyNet):
        def on_validation_epoch_end(self) -> None:
            self.log("score", 0.5)

    callbacks = FinetuneOptions(patience=patience).callbacks("score", "max")
    fit = trainer(tmp_path, max_epochs=40, callbacks=callbacks, **options)
    fit.fit(Stuck(), loader(), loader())
    assert fit.global_step == steps  # of three in an epoch


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
