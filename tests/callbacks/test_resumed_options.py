"""Options of the optimizer that a checkpoint would override are refused, the same ones are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BaseFinetuning, StochasticWeightAveraging
from lightning.pytorch.cli import ReduceLROnPlateau
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import MultiStepLR, OneCycleLR, StepLR

from src.callbacks.averaging import MovingAverage
from src.callbacks.checkpoint import LastCheckpoint
from src.callbacks.finetune import FinetuneOptions
from src.callbacks.resumed_options import ResumedOptions
from src.callbacks.unfreezing import GradualUnfreezing
from src.cli import app
from src.errors import UsageError
from tests.cli.test_app import parsed_command_line
from tests.support.failing_callbacks import PressCtrlC
from tests.support.tiny_classifier import TinyNet, loader, trainer

pytestmark = pytest.mark.filterwarnings("ignore")

Made = Mapping[str, Any]  # options of TinyNet, or an optimizer or a schedule by its class


class ChosenNet(TinyNet):
    """Classifier with the optimizer and the schedule of a user, as the command line makes them."""

    chosen: tuple[tuple[Any, Made], tuple[Any, Made] | None]

    def configure_optimizers(self) -> Any:
        (kind, options), schedule = self.chosen
        optimizer = kind(self.parameters(), **options)
        made = schedule[0](optimizer, **schedule[1]) if schedule else None
        return app.CLI.configure_optimizers(self, optimizer, made)


def chosen(optimizer: tuple[Any, Made], schedule: tuple[Any, Made] | None = None) -> ChosenNet:
    model = ChosenNet()
    model.chosen = optimizer, schedule  # no argument: a checkpoint stores those
    return model


def fit(
    folder: Path,
    model: TinyNet,
    ckpt_path: Path | None = None,
    *users: Callback,
    epochs: int = 2,
) -> Any:
    last = LastCheckpoint()
    last.dirpath = str(folder)
    checks = ResumedOptions(optimizer_is_chosen=isinstance(model, ChosenNet))
    training = trainer(
        folder,
        max_epochs=epochs,
        callbacks=[*users, checks, last],
        enable_checkpointing=True,
        num_sanity_val_steps=0,
    )
    training.fit(model, loader(), loader(), ckpt_path=ckpt_path)
    return training


OF_MODEL = {
    "model.lr": ({"lr": 0.002}, {}, "0.002"),
    "model.weight_decay": ({}, {"weight_decay": 0}, "0.05"),
    "model.layer_decay": ({"layer_decay": 0.75}, {"layer_decay": 0.5}, "0.75"),
}
STEPS = (StepLR, {"step_size": 3})
CYCLE = (OneCycleLR, {"max_lr": 0.1, "total_steps": 99})
OF_USER: dict[str, tuple[Any, Any, str]] = {
    "optimizer.lr": (((SGD, {"lr": 0.1}),), ((SGD, {"lr": 0.2}),), "0.1"),
    "optimizer.momentum": (
        ((SGD, {"lr": 0.1}), STEPS),
        ((SGD, {"lr": 0.1, "momentum": 0.9}), STEPS),
        "0",
    ),
    "optimizer.betas": (
        ((Adam, {"lr": 0.1, "betas": (0.8, 0.9)}),),
        ((Adam, {"lr": 0.1}),),
        r"\(0.8, 0.9\)",
    ),
    "optimizer": (((Adam, {"lr": 0.1}),), ((SGD, {"lr": 0.1}),), "the one"),
    "lr_scheduler": (((SGD, {"lr": 0.1}), STEPS), ((SGD, {"lr": 0.1}),), "the one"),
    "lr_scheduler.step_size": (
        ((SGD, {"lr": 0.1}), STEPS),
        ((SGD, {"lr": 0.1}), (StepLR, {"step_size": 4})),
        "3",
    ),
    "lr_scheduler.milestones": (
        ((SGD, {"lr": 0.1}), (MultiStepLR, {"milestones": [1, 2]})),
        ((SGD, {"lr": 0.1}), (MultiStepLR, {"milestones": [1, 3]})),
        "the one",
    ),
    "lr_scheduler.patience": (
        ((SGD, {"lr": 0.1}), (ReduceLROnPlateau, {"monitor": "train/loss", "patience": 1})),
        ((SGD, {"lr": 0.1}), (ReduceLROnPlateau, {"monitor": "train/loss", "patience": 2})),
        "1",
    ),
}


def require_refused(name: str, stored: str, error: pytest.ExceptionInfo[UsageError]) -> None:
    assert error.match(rf"^{name}: expected {stored}, with which the checkpoint was trained; ")
    assert error.match(r"; set .*, or begin anew with its weights by model.weights=PATH instead")


@pytest.mark.parametrize("name", OF_MODEL)
def test_an_option_of_the_model_that_the_checkpoint_would_override_is_refused(
    name: str, tmp_path: Path
) -> None:
    first, other, stored = OF_MODEL[name]
    fit(tmp_path, TinyNet(**first), epochs=1)
    with pytest.raises(UsageError) as refused:
        fit(tmp_path, TinyNet(**other), tmp_path / "last.ckpt")
    require_refused(name, stored, refused)
    assert refused.match(rf"set {name}={stored}")
    resumed = fit(tmp_path, TinyNet(**first), tmp_path / "last.ckpt")
    assert resumed.current_epoch == 2


def test_a_layer_decay_beside_a_checkpoint_without_one_is_refused(tmp_path: Path) -> None:
    fit(tmp_path, TinyNet(), epochs=1)
    with pytest.raises(UsageError, match=r"model.layer_decay: expected 1.0, .* found 0.5"):
        fit(tmp_path, TinyNet(layer_decay=0.5), tmp_path / "last.ckpt")


@pytest.mark.parametrize("name", OF_USER)
def test_an_option_of_a_users_optimizer_that_the_checkpoint_would_override_is_refused(
    name: str, tmp_path: Path
) -> None:
    first, other, stored = OF_USER[name]
    fit(tmp_path, chosen(*first), epochs=1)
    with pytest.raises(UsageError) as refused:
        fit(tmp_path, chosen(*other), tmp_path / "last.ckpt")
    require_refused(name, stored, refused)
    assert fit(tmp_path, chosen(*first), tmp_path / "last.ckpt").current_epoch == 2


def test_a_default_optimizer_beside_the_checkpoint_of_another_is_refused(tmp_path: Path) -> None:
    fit(tmp_path, chosen((SGD, {"lr": 0.1})), epochs=1)
    with pytest.raises(UsageError, match=r"^optimizer: expected the one, .* found AdamW"):
        fit(tmp_path, TinyNet(), tmp_path / "last.ckpt")


def test_a_schedule_that_changes_the_momentum_goes_on(tmp_path: Path) -> None:
    options = (SGD, {"lr": 0.1, "momentum": 0.9}), CYCLE
    fit(tmp_path, chosen(*options), epochs=1)
    group = torch.load(tmp_path / "last.ckpt", weights_only=True)["optimizer_states"][0]
    assert group["param_groups"][0]["momentum"] != 0.9
    assert fit(tmp_path, chosen(*options), tmp_path / "last.ckpt").current_epoch == 2


class StopsAfterTwoEpochs(Callback):
    """Ends a training early, so that its last checkpoint is one to go on from."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch == 1


def averaging(learning_rate: float = 0.05) -> Callback:
    return StochasticWeightAveraging(learning_rate, swa_epoch_start=1, annealing_epochs=1)


@pytest.mark.parametrize(
    "model",
    [
        TinyNet,
        lambda: TinyNet(layer_decay=0.75),
        lambda: chosen((SGD, {"lr": 0.1})),
        lambda: chosen((SGD, {"lr": 0.1}), STEPS),
    ],
    ids=["default", "layer decay", "optimizer", "optimizer and schedule"],
)
def test_a_training_goes_on_after_stochastic_weight_averaging_has_begun(
    model: Callable[[], TinyNet], tmp_path: Path
) -> None:
    fit(tmp_path, model(), None, averaging(), StopsAfterTwoEpochs(), epochs=4)
    groups = torch.load(tmp_path / "last.ckpt", weights_only=True)["optimizer_states"][0]
    assert groups["param_groups"][0]["swa_lr"] == 0.05
    resumed = fit(tmp_path, model(), tmp_path / "last.ckpt", averaging(), epochs=4)
    whole = fit(tmp_path / "whole", model(), None, averaging(), epochs=4)
    assert (resumed.global_step, resumed.current_epoch) == (whole.global_step, whole.current_epoch)
    assert resumed.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.05)


def test_another_weight_decay_is_refused_after_stochastic_weight_averaging_has_begun(
    tmp_path: Path,
) -> None:
    fit(tmp_path, TinyNet(), None, averaging())
    with pytest.raises(UsageError) as refused:
        fit(tmp_path, TinyNet(weight_decay=0.1), tmp_path / "last.ckpt", averaging())
    require_refused("model.weight_decay", "0.05", refused)


def test_a_training_without_the_averaging_that_its_checkpoint_began_is_told_to_keep_it(
    tmp_path: Path,
) -> None:
    fit(tmp_path, TinyNet(), None, averaging())
    with pytest.raises(UsageError, match=r"^trainer.callbacks: .*StochasticWeightAveraging"):
        fit(tmp_path, TinyNet(), tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    ("resumed", "found"), [([], "none"), ([MovingAverage(0.9)], "0.9")], ids=["none", "another"]
)
def test_a_training_without_the_moving_average_of_its_checkpoint_is_refused(
    resumed: list[Callback], found: str, tmp_path: Path
) -> None:
    fit(tmp_path, TinyNet(), None, MovingAverage(0.5), epochs=1)
    with pytest.raises(UsageError, match=rf"^finetune.ema_decay: expected 0.5, .* found {found};"):
        fit(tmp_path, TinyNet(), tmp_path / "last.ckpt", *resumed)
    whole = fit(tmp_path, TinyNet(), tmp_path / "last.ckpt", MovingAverage(0.5))
    assert whole.current_epoch == 2


def test_an_average_of_an_earlier_version_goes_on_with_any_decay_and_not_without(
    tmp_path: Path,
) -> None:
    fit(tmp_path, TinyNet(), None, MovingAverage(0.5), epochs=1)
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    del content["callbacks"]["MovingAverage"]["decay"]
    torch.save(content, tmp_path / "earlier.ckpt")
    with pytest.raises(UsageError, match=r"expected the average of the weights, .*the value that"):
        fit(tmp_path, TinyNet(), tmp_path / "earlier.ckpt")
    assert (
        fit(tmp_path, TinyNet(), tmp_path / "earlier.ckpt", MovingAverage(0.9)).current_epoch == 2
    )


def test_an_average_may_begin_in_a_training_that_goes_on(tmp_path: Path) -> None:
    fit(tmp_path, TinyNet(), epochs=1)
    assert fit(tmp_path, TinyNet(), tmp_path / "last.ckpt", MovingAverage(0.9)).current_epoch == 2


class UnfreezesLater(BaseFinetuning):
    """Adds the first layer to the optimizer in the second epoch."""

    def freeze_before_training(self, pl_module: LightningModule) -> None:
        self.freeze(pl_module.network[0])

    def finetune_function(
        self, pl_module: LightningModule, epoch: int, optimizer: torch.optim.Optimizer
    ) -> None:
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.network[0], optimizer)


class HeadFirst(ChosenNet):
    """Classifier whose optimizer begins without the frozen layer."""

    chosen = (SGD, {"lr": 0.1}), STEPS

    def parameters(self, recurse: bool = True) -> Iterator[torch.nn.Parameter]:
        return (weight for weight in super().parameters(recurse) if weight.requires_grad)


class AddsGroups(Callback):
    """Callback that adds a group of parameters in each start of a training."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.optimizers[0].add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})


@pytest.mark.parametrize("users_callback", [UnfreezesLater, AddsGroups])
def test_a_training_goes_on_whose_groups_a_users_callback_has_added(
    users_callback: type[Callback], tmp_path: Path
) -> None:
    fit(tmp_path, HeadFirst(), None, users_callback())
    resumed = fit(tmp_path, HeadFirst(), tmp_path / "last.ckpt", users_callback(), epochs=3)
    assert resumed.current_epoch == 3


def test_a_training_without_the_callback_that_added_groups_is_refused(tmp_path: Path) -> None:
    fit(tmp_path, HeadFirst(), None, AddsGroups())
    with pytest.raises(UsageError, match=r"^optimizer: expected the one, .* groups of parameters"):
        fit(tmp_path, HeadFirst(), tmp_path / "last.ckpt")


def test_the_options_are_compared_after_the_callbacks_of_the_user() -> None:
    users = "trainer.callbacks=tests.support.failing_callbacks.PressCtrlC"
    parsed = parsed_command_line(users, "finetune.freeze_epochs=1")
    parsed.config_init = parsed.parser.instantiate_classes(parsed.config)
    settings = parsed.config_init[parsed.subcommand].trainer
    kinds = [type(callback) for callback in parsed._callbacks(settings)]
    last = max(kinds.index(kind) for kind in (PressCtrlC, GradualUnfreezing))
    assert last < kinds.index(ResumedOptions)


def test_options_that_are_read_in_each_step_may_change(tmp_path: Path) -> None:
    fit(tmp_path, TinyNet(), epochs=1)
    changed = TinyNet(label_smoothing=0.3, warmup_fraction=0.5)
    resumed = fit(tmp_path, changed, tmp_path / "last.ckpt", epochs=3)
    assert resumed.current_epoch == 3
    # The schedule is that of the longer training.
    assert resumed.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("patience", "epochs"), [(1, 2), (4, 5)])
def test_another_patience_takes_effect_where_a_training_goes_on(
    patience: int, epochs: int, tmp_path: Path
) -> None:
    class Stuck(TinyNet):
        def on_validation_epoch_end(self) -> None:
            self.log("val/score", 0.5)

    path = None
    for waited, limit in ((2, 2), (patience, 20)):
        last = LastCheckpoint()
        last.dirpath = str(tmp_path)
        training = trainer(
            tmp_path,
            max_epochs=limit,
            callbacks=[*FinetuneOptions(patience=waited).callbacks("val/score", "max"), last],
            enable_checkpointing=True,
            num_sanity_val_steps=0,
        )
        training.fit(Stuck(), loader(), loader(), ckpt_path=path)
        path = tmp_path / "last.ckpt"
    assert training.current_epoch == epochs
