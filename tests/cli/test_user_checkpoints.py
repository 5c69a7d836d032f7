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
    return Namespace(trainer=Namespace(callbacks=[other, callback]))


@pytest.mark.parametrize("name", ["best", "last"])
def test_a_callback_that_would_replace_the_runs_own_checkpoint_is_refused(name: str) -> None:
    expected = rf"^trainer\.callbacks\.filename: expected another name than {name}, .*found {name};"
    with pytest.raises(UsageError, match=expected):
        user_checkpoints.check(configuration(filename=name))


@pytest.mark.parametrize(
    "options",
    [{}, {"filename": "mine"}, {"filename": "best", "dirpath": "elsewhere"}, {"save_last": True}],
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
