from __future__ import annotations

from pathlib import Path

import pytest

from src.cli.grammar import translate, user_options
from src.errors import UsageError


@pytest.fixture
def configs(tmp_path: Path) -> Path:
    for name in ("model/resnet34", "model/convnext_t", "data/digits", "trainer/gpu"):
        file = tmp_path / f"{name}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.touch()
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "short.yaml").touch()
    (tmp_path / "train.yaml").touch()
    return tmp_path


def words(configs: Path, *argv: str) -> list[str]:
    """Return the translation with the names of configuration files instead of their paths."""
    return [
        word.replace(f"{configs}/", "").removesuffix(".yaml") for word in translate(argv, configs)
    ]


def test_an_empty_command_line_is_a_fit_with_the_default_groups(configs: Path) -> None:
    assert words(configs) == [
        "fit",
        "--config=train",
        "--config=model/resnet34",
        "--config=data/digits",
    ]


def test_a_chosen_group_replaces_the_default(configs: Path) -> None:
    assert words(configs, "model=convnext_t", "trainer=gpu") == [
        "fit",
        "--config=train",
        "--config=data/digits",
        "--config=model/convnext_t",
        "--config=trainer/gpu",
    ]


def test_single_values_are_translated_after_files(configs: Path) -> None:
    translated = words(configs, "trainer.max_epochs=3", "experiment=short", "model=convnext_t")
    assert translated[-3:] == [
        "--config=model/convnext_t",
        "--config=experiment/short",
        "--trainer.max_epochs=3",
    ]


def test_a_value_may_contain_an_equals_sign(configs: Path) -> None:
    assert words(configs, "ckpt_path=a=b.ckpt")[-1] == "--ckpt_path=a=b.ckpt"


def test_an_option_keeps_the_word_after_it(configs: Path) -> None:
    translated = words(configs, "test", "--ckpt_path", "model=x.ckpt", "--print_config")
    assert translated[0] == "test"
    assert translated[-3:] == ["--ckpt_path", "model=x.ckpt", "--print_config"]


def test_a_users_file_with_a_model_replaces_the_default_model(
    configs: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("model: {class_path: some.Model}\n")
    translated = words(configs, "fit", "--config", str(mine))
    assert "--config=model/resnet34" not in translated
    assert "--config=data/digits" in translated
    assert translated[-1] == "--config=mine"


def test_a_model_by_class_name_replaces_the_default_model(configs: Path) -> None:
    assert "--config=model/resnet34" not in words(configs, "--model", "ConvNeXtTiny")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["model=convnxt"],
            r"model: expected one of convnext_t, resnet34, torchvision/NAME, timm/NAME or "
            r"own/NAME; "
            r"found convnxt; .*model=convnext_t\?",
        ),
        (
            ["model="],
            r"model: expected one of convnext_t, resnet34, torchvision/NAME, timm/NAME or "
            r"own/NAME; "
            r"found nothing",
        ),
        (["fitt"], r"subcommand: expected one of fit, validate, test, predict.*; found fitt"),
        (["fit", "convnext_t"], r"command line: expected group=name.*; found convnext_t"),
        (["=3"], r"command line: .*found =3"),
        (["model=resnet34", "fit"], r"command line: .*; found fit; write fit before the options"),
        (["--config", "x.yaml", "test"], r"found test; write test before the options"),
        (["fit", "model=resnet34", "test"], r"found test; see python -m src.train --help$"),
    ],
)
def test_an_argument_that_is_not_understood_is_named_in_one_line(
    configs: Path, argv: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        translate(argv, configs)
    assert "\n" not in str(caught.value)


def test_user_options_come_from_the_command_line_and_the_users_files(configs: Path) -> None:
    mine = configs.parent / "mine.yaml"
    mine.write_text("data: {init_args: {num_workers: -1}}\ntrainer: {devices: 3}")
    words = ["test", "--config", str(mine), "--model.lr", "0.5", "trainer=gpu", "ckpt_path=best"]
    assert user_options(translate(words, configs), configs) == {
        "data.num_workers": -1,
        "trainer.devices": 3,
        "model.lr": "0.5",
        "ckpt_path": "best",
    }
