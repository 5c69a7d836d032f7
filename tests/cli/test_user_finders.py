"""Callbacks of Lightning for which the project has options of its own."""

from __future__ import annotations

import pytest

from src.errors import UsageError
from tests.cli.test_app import parse, parsed_command_line


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("LearningRateFinder", "finetune.find_lr=true"),
        ("BatchSizeFinder", "finetune.find_batch_size=true"),
        ("BackboneFinetuning", "finetune.freeze_epochs=1"),
    ],
)
def test_a_callback_with_an_option_of_the_project_is_refused(name: str, option: str) -> None:
    for words in (["trainer.callbacks="], ["trainer.callbacks+=LearningRateMonitor", "--x+="]):
        word = words[-1].replace("--x+=", "--trainer.callbacks+=") + name
        with pytest.raises(UsageError, match=rf"^trainer\.callbacks: expected no {name}.*{option}"):
            parse(*words[:-1], word)


@pytest.mark.usefixtures("elsewhere")
def test_other_callbacks_of_lightning_are_accepted() -> None:
    parse("trainer.callbacks=LearningRateMonitor")
    parsed = parsed_command_line(
        "trainer.callbacks=Timer", "trainer.callbacks.duration=00:01:00:00"
    )
    # Written with every training, also for the loggers.
    assert "interval: step" in parsed.parser.dump(parsed.config, skip_none=False)
