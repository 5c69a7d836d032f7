"""The last weights of a training are validated, whatever ends it, and may be the best."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from src.callbacks.averaging import MovingAverage
from src.callbacks.checkpoint import BestCheckpoint, LastCheckpoint, UntrainedCheckpoint
from src.callbacks.export import finished_checkpoint
from src.callbacks.finetune import Patience
from tests.support.tiny_classifier import TinyNet, loader, trainer


class StopAtOnce(Callback):
    """Requests the end of the training after its first step, as a user's callback may."""

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = True


class Rising(TinyNet):
    """Network whose score rises with each validation, so that the last one is the best."""

    validations = 0

    def on_validation_epoch_end(self) -> None:
        self.validations += 1
        self.log("val/score", float(self.validations))


class Steady(TinyNet):
    """Network with a constant score: the latest weights win the tie."""

    def on_validation_epoch_end(self) -> None:
        self.log("val/score", 0.5)


# Options of the Trainer, more callbacks, and the number of steps of the training.
ENDS: dict[str, tuple[dict[str, Any], list[Callback], int]] = {
    "max_steps within the first epoch": ({"max_steps": 1}, [], 1),
    "max_steps within a later epoch": ({"max_steps": 4}, [], 4),
    "max_steps at the end of an epoch": ({"max_steps": 3}, [], 3),
    "max_steps without max_epochs": ({"max_steps": 7, "max_epochs": -1}, [], 7),
    "fewer epochs than check_val_every_n_epoch": ({"check_val_every_n_epoch": 5}, [], 6),
    "epochs that check_val_every_n_epoch does not divide": (
        {"check_val_every_n_epoch": 2, "max_epochs": 3},
        [],
        9,
    ),
    "val_check_interval beyond the end": (
        {"check_val_every_n_epoch": None, "val_check_interval": 100},
        [],
        6,
    ),
    "val_check_interval that does not divide an epoch": ({"val_check_interval": 2}, [], 6),
    "time between validations": ({"val_check_interval": timedelta(hours=1)}, [], 6),
    "max_steps below min_epochs": ({"max_steps": 1, "min_epochs": 2}, [], 1),
    "max_epochs below min_steps": ({"max_epochs": 1, "min_steps": 3, "max_steps": 3}, [], 3),
    "max_time": ({"max_time": timedelta(microseconds=1)}, [], 1),
    "max_time beside check_val_every_n_epoch": (
        {"max_time": timedelta(microseconds=1), "check_val_every_n_epoch": 4},
        [],
        1,
    ),
    "a callback that stops": ({"check_val_every_n_epoch": 2}, [StopAtOnce()], 1),
    "overfit_batches": ({"overfit_batches": 2, "check_val_every_n_epoch": 9}, [], 4),
    "accumulated gradients": ({"accumulate_grad_batches": 2, "max_steps": 1}, [], 1),
    "averaged weights": ({"max_steps": 1}, [MovingAverage(0.5)], 1),
    "early stopping": (
        {"max_steps": 1},
        [Patience(monitor="val/score", mode="max", patience=1)],
        1,
    ),
    "no steps between two validations": ({}, [], 6),
}


def train(
    folder: Path, model: TinyNet, options: dict[str, Any], *callbacks: Callback, every: int = 1
) -> Trainer:
    last = LastCheckpoint()
    checkpoints = [BestCheckpoint("val/score", every_n_epochs=every), last]
    for checkpoint in checkpoints:
        checkpoint.dirpath = str(folder / "checkpoints")
    settings = {"num_sanity_val_steps": 0, "enable_checkpointing": True, **options}
    order = [*callbacks, UntrainedCheckpoint(last), *checkpoints]
    training = trainer(folder, callbacks=order, **settings)
    training.fit(model, loader(), loader())
    return training


def saved(folder: Path, name: str) -> dict[str, Any]:
    content = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
    assert isinstance(content, dict)
    return content


def weights(content: dict[str, Any]) -> dict[str, Tensor]:
    return content["state_dict"]  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [Rising, Steady])
@pytest.mark.parametrize("name", ENDS)
def test_the_last_weights_of_a_training_are_validated(
    name: str, kind: type[TinyNet], tmp_path: Path
) -> None:
    options, callbacks, steps = ENDS[name]
    training = train(tmp_path, kind(), options, *callbacks)
    best, last = saved(tmp_path, "best"), saved(tmp_path, "last")
    assert last["global_step"] == best["global_step"] == steps
    assert all(torch.equal(value, weights(last)[key]) for key, value in weights(best).items())
    # Both store the best score, so that a training resumed from the last one knows it.
    scores = [content["callbacks"]["BestCheckpoint"]["score"] for content in (best, last)]
    assert scores[0] == scores[1] == training.callback_metrics["val/score"]
    assert finished_checkpoint(training) == tmp_path / "checkpoints" / "best.ckpt"


@pytest.mark.filterwarnings("ignore")
def test_fewer_epochs_than_every_n_epochs_save_the_last_weights_as_the_best(tmp_path: Path) -> None:
    train(tmp_path, Rising(), {"max_epochs": 2}, every=5)
    assert saved(tmp_path, "best")["epoch"] == 1


@pytest.mark.filterwarnings("ignore")
def test_unvalidated_weights_do_not_inherit_an_earlier_score(
    tmp_path: Path,
) -> None:
    best_epochs: list[int] = []

    class CutShort(Steady):
        """Ends the second epoch before its validation."""

        def on_train_epoch_start(self) -> None:
            best = tmp_path / "checkpoints" / "best.ckpt"
            best_epochs.append(saved(tmp_path, "best")["epoch"] if best.is_file() else -1)

        def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
            return -1 if self.current_epoch == 1 and batch_idx > 0 else None

    train(tmp_path, CutShort(), {"max_epochs": 3})
    assert best_epochs == [-1, 0, 0]


# Options with which nothing is validated, and the number of steps of the training.
WITHOUT_VALIDATION: dict[str, tuple[dict[str, Any], int]] = {
    "limit_val_batches": ({"limit_val_batches": 0}, 6),
    "limit_val_batches as a share": ({"limit_val_batches": 0.0}, 6),
    "max_epochs": ({"max_epochs": 0}, 0),
    "max_steps": ({"max_steps": 0}, 0),
    "limit_train_batches": ({"limit_train_batches": 0}, 0),
    "max_time": ({"max_time": timedelta()}, 0),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WITHOUT_VALIDATION)
def test_the_last_checkpoint_is_exported_if_nothing_was_validated(
    name: str, tmp_path: Path
) -> None:
    options, steps = WITHOUT_VALIDATION[name]
    training = train(tmp_path, Rising(), options)
    assert saved(tmp_path, "last")["global_step"] == steps
    assert finished_checkpoint(training) == tmp_path / "checkpoints" / "last.ckpt"
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()
