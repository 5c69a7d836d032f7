"""Names of the checkpoints that a user's callbacks write."""

from __future__ import annotations

from typing import Any

import pytest
from jsonargparse import Namespace

from src.cli import user_checkpoints
from src.errors import UsageError
from tests.cli.test_app import parse

CHECKPOINT = "lightning.pytorch.callbacks.ModelCheckpoint"


def configuration(**options: Any) -> Namespace:
    of_callback = Namespace(**{"dirpath": None, "filename": None, **options})
    callback = Namespace(class_path=CHECKPOINT, init_args=of_callback)
    other = Namespace(class_path="lightning.pytorch.callbacks.RichProgressBar")
    model = Namespace(class_path="src.models.resnet34.ResNet34")
    return Namespace(model=model, trainer=Namespace(callbacks=[other, callback]))


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_callback_that_would_replace_the_runs_own_checkpoint_is_refused(name: str) -> None:
    expected = rf"^trainer\.callbacks\.filename: expected another name than {name}, .*found {name};"
    with pytest.raises(UsageError, match=expected):
        user_checkpoints.check(configuration(filename=name))


@pytest.mark.parametrize(
    ("filename", "wrong", "remedy"),
    [
        ("{epoch}-{val_loss:.2f}", "val_loss", "val/loss"),
        ("{epoch:02d}-{val_top1}", "val_top1", "val/top1"),
        ("{train_loss}", "train_loss", "train/loss"),
        ("weights-{val/accuracy:.3f}", "val/accuracy", "val/"),
        ("{acc}", "acc", "val/top1"),
    ],
)
def test_a_metric_in_a_name_that_is_never_logged_is_refused(
    filename: str, wrong: str, remedy: str
) -> None:
    expected = rf"^trainer\.callbacks\.filename: .*found {{{wrong}}}; write for example {{{remedy}"
    for elsewhere in ({}, {"dirpath": "elsewhere"}):
        with pytest.raises(UsageError, match=expected):
            user_checkpoints.check(configuration(filename=filename, **elsewhere))


def test_a_metric_in_a_name_may_be_that_of_a_callback_of_the_user() -> None:
    config = configuration(filename="{my_score}")
    config.trainer.callbacks.append(Namespace(class_path="my_package.LogsMyScore"))
    user_checkpoints.check(config)


def test_a_metric_in_a_name_may_be_that_of_a_classifier_of_the_user() -> None:
    config = configuration(filename="{val/auc:.3f}")
    with pytest.raises(UsageError, match=r"^trainer\.callbacks\.filename: .*found {val/auc}"):
        user_checkpoints.check(config)
    config.model.class_path = "my_package.Net"
    user_checkpoints.check(config)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"filename": "mine"},
        {"filename": "best", "dirpath": "elsewhere"},
        {"save_last": True},
        {"filename": "{epoch:02d}-{step}-{val/loss:.2f}-{train/lr}-{lr-AdamW/pg1}"},
    ],
)
def test_other_checkpoints_of_the_user_are_accepted(options: dict[str, Any]) -> None:
    user_checkpoints.check(configuration(**options))
    user_checkpoints.check(Namespace(trainer=Namespace(callbacks=None)))


@pytest.mark.usefixtures("elsewhere")
def test_the_command_line_refuses_it_in_each_form() -> None:
    words = ("trainer.callbacks.monitor=val/loss", "trainer.callbacks.filename=best")
    for form in ("trainer.callbacks=ModelCheckpoint", "trainer.callbacks+=ModelCheckpoint"):
        with pytest.raises(UsageError, match=r"^trainer\.callbacks\.filename: expected another"):
            parse(form, *words)
