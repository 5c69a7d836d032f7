"""Metrics that callbacks watch, and the modes in which they compare them."""

from __future__ import annotations

from typing import Any

import pytest
from jsonargparse import Namespace

from src.cli import monitors
from src.errors import UsageError

STOPPING = "lightning.pytorch.callbacks.EarlyStopping"


def configuration(*callbacks: Namespace, **trainer: Any) -> Namespace:
    settings = {"limit_val_batches": 1.0, "check_val_every_n_epoch": 1, **trainer}
    return Namespace(
        model=Namespace(class_path="src.models.resnet34.ResNet34"),
        checkpoint=Namespace(monitor="val/top1", mode=None),
        trainer=Namespace(callbacks=list(callbacks) or None, **settings),
    )


def callback(monitor: str | None, mode: str = "min", kind: str = STOPPING) -> Namespace:
    return Namespace(class_path=kind, init_args=Namespace(monitor=monitor, mode=mode))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (callback("val/top1"), "mode: expected max, for a larger val/top1 is better; found min"),
        (callback("val/loss", "max"), "mode: expected min, for a smaller val/loss is better"),
        (callback("val_loss"), "monitor: expected one of val/top1, .*; found val_loss"),
    ],
)
def test_a_callback_that_would_watch_nothing_or_the_wrong_end_is_refused(
    wrong: Namespace, message: str
) -> None:
    other = Namespace(class_path="lightning.pytorch.callbacks.LearningRateMonitor")
    with pytest.raises(UsageError, match=rf"trainer\.callbacks\.{message}"):
        monitors.check(configuration(other, wrong))


def test_a_callback_that_watches_a_validation_needs_one() -> None:
    config = configuration(callback("val/loss"), limit_val_batches=0)
    with pytest.raises(UsageError, match=r"trainer\.callbacks\.monitor: expected a validation"):
        monitors.check(config)
    monitors.check(configuration(callback("train/loss"), limit_val_batches=0))


@pytest.mark.parametrize(
    "right",
    [
        callback("val/top1", "max"),
        callback("val/loss"),
        callback(None),
        Namespace(class_path="lightning.pytorch.callbacks.Timer"),
    ],
)
def test_other_callbacks_are_accepted(right: Namespace) -> None:
    monitors.check(configuration(right))
    monitors.check(configuration())


def test_a_metric_may_be_that_of_a_callback_of_the_user() -> None:
    own = Namespace(class_path="my_package.LogsMyScore", init_args=Namespace())
    monitors.check(configuration(own, callback("my/score", "max")))


def test_a_metric_may_be_that_of_a_classifier_of_the_user() -> None:
    config = configuration(callback("val/auc", "max"))
    with pytest.raises(UsageError, match=r"^trainer\.callbacks\.monitor: .*; found val/auc"):
        monitors.check(config)
    config.model.class_path = "my_package.Net"
    monitors.check(config)
