"""A name that does not exist leads to the option that was meant, not to one of a later stage."""

from __future__ import annotations

import pytest

from src.cli import app, parser
from src.cli.suggestions import _USUAL_NAMES, suggest
from src.errors import UsageError

MEANT = {
    "epochs": "trainer.max_epochs",
    "epoch": "trainer.max_epochs",
    "max_epoch": "trainer.max_epochs",
    "trainer.epochs": "trainer.max_epochs",
    "model.epochs": "trainer.max_epochs",
    "seed": "seed_everything",
    "seeds": "seed_everything",
    "lr": "model.lr",
    "model.learning_rate": "model.lr",
    "trainer.lr": "model.lr",
    "batch_size": "data.batch_size",
    "batchsize": "data.batch_size",
    "workers": "data.num_workers",
    "device": "trainer.accelerator",
    "gpus": "trainer.devices",
    "imgsz": "data.image_size",
    "data.size": "data.image_size",
    "name": "trainer.default_root_dir",
    "output": "trainer.default_root_dir",
    "pretrained": "model.pretrained",
    "resume": "ckpt_path",
    "monitor": "checkpoint.monitor",
    "threads": "benchmark.threads",
    "twin.epoch": "twin.epochs",
    "twin.sed": "twin.seed",
    "probe_step": "twin.probe_steps",
    "trainr.max_epochs": "trainer.max_epochs",
    "model.lrr": "model.lr",
    "fliplr": "data.flip",
    "data.hflip": "data.flip",
    "class_weights": "data.balance",
    "gradient_accumulation_steps": "trainer.accumulate_grad_batches",
    "model.warmup_epochs": "model.warmup_fraction",
    "xyzzy": None,
    "optimizer.learning_rate": None,
}


@pytest.fixture(scope="module")
def options() -> list[str]:
    """Return the options that the command line passes on with a name that does not exist."""
    passed: list[str] = []

    def note(_: str, options: list[str]) -> UsageError:
        passed.extend(options)
        return UsageError("x", expected="y", found="z", remedy="?")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parser.parser_errors, "from_parser", note)
        with pytest.raises(UsageError):
            app.main(["no_such_option=3"])
    return passed


@pytest.mark.parametrize("name", MEANT)
def test_a_name_that_does_not_exist_leads_to_the_option_that_was_meant(
    name: str, options: list[str]
) -> None:
    assert suggest(name, options) == MEANT[name]


def test_every_usual_name_belongs_to_an_option_that_exists(options: list[str]) -> None:
    assert [name for name in _USUAL_NAMES if name not in options and name != "data.root"] == []
    words = [word for words in _USUAL_NAMES.values() for word in words]
    assert len(words) == len(set(words))
    assert not set(words) & set(options)


def test_a_stage_without_groups_suggests_its_own_options_only() -> None:
    options = ["epochs", "seed", "max_minutes", "lr"]
    assert suggest("epoch", options) == "epochs"
    assert suggest("learning_rate", options) is None
    assert suggest("sed", options) == "seed"
