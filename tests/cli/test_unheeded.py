"""Lines about what a user has set without an effect."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from src.cli import grammar, unheeded
from src.errors import UsageError
from src.system import safe_yaml
from tests.cli.test_app import parse
from tests.conftest import CONFIGS


@pytest.fixture(autouse=True)
def folder(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("PL_TRAINER_MAX_EPOCHS", "PL_TRAINER_DEVICES"):
        monkeypatch.delenv(variable, raising=False)
    return elsewhere


def lines(*words: str) -> list[str]:
    return unheeded.notices(grammar.translate(words, CONFIGS))


@pytest.mark.parametrize(
    ("content", "words", "expected"),
    [
        (
            "trainer: {max_epochs: 3}",
            ["model=convnext_t"],
            "model=convnext_t sets trainer.max_epochs=8, not as mine.yaml does: write "
            "trainer.max_epochs=3 on the command line, or leave model=convnext_t out",
        ),
        (
            "model: {init_args: {lr: 0.01, label_smoothing: 0.1}}\ntrainer: {max_epochs: 3}",
            ["model=resnet34"],
            "model=resnet34 sets model.lr=0.001, trainer.max_epochs=8, not as mine.yaml does: "
            "write model.lr=0.01 on the command line and so on, or leave model=resnet34 out",
        ),
        (
            "finetune: {patience: 9}",
            ["model=resnet34", "experiment=finetune"],
            "experiment=finetune sets finetune.patience=5, not as mine.yaml does: write "
            "finetune.patience=9 on the command line, or leave experiment=finetune out",
        ),
        (
            "trainer: {max_epochs: 3}",
            ["model=timm/lcnet_050"],
            "model=timm/lcnet_050 sets trainer.max_epochs=12, not as mine.yaml does: write "
            "trainer.max_epochs=3 on the command line, or leave model=timm/lcnet_050 out",
        ),
    ],
)
def test_a_chosen_group_that_replaces_values_of_a_file_is_told(
    content: str, words: list[str], expected: str
) -> None:
    Path("mine.yaml").write_text(content)
    assert lines("--config", "mine.yaml", *words) == [expected]
    assert lines(*words, "config=mine.yaml") == [expected]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("trainer: {max_epochs: 3}", []),  # the default model is loaded before the file
        ("trainer: {max_epochs: 8}", ["model=convnext_t"]),
        ("model: {init_args: {lr: 1e-3}}", ["model=convnext_t"]),
        ("trainer: {max_epochs: 3}", ["model=convnext_t", "trainer.max_epochs=4"]),
        ("trainer: {max_epochs: 3}", ["trainer=cpu"]),
        ("", ["model=convnext_t"]),
    ],
)
def test_values_that_hold_are_no_line(content: str, words: list[str]) -> None:
    Path("mine.yaml").write_text(content)
    assert lines("--config", "mine.yaml", *words) == []


@pytest.mark.parametrize(
    ("option", "content", "choice"),
    [
        ("export.formats", "[eager, onnx_fp32]", "export=all"),
        ("export.formats", "['it''s a format', \"two\\nlines\"]", "export=all"),
        ("trainer.accelerator", "a$b 'c'", "trainer=cpu"),
        ("trainer.accelerator", "null", "trainer=cpu"),
        ("trainer.devices", "[0, 1]", "trainer=cpu"),
        ("benchmark.enabled", "false", "benchmark=mine"),
        ("benchmark.max_seconds", ".inf", "benchmark=mine"),
        ("benchmark.max_seconds", "1.0e-05", "benchmark=mine"),
    ],
)
def test_the_words_that_are_advised_mean_the_value_of_the_file(
    option: str, content: str, choice: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, _, name = option.partition(".")
    (folder / "mine.yaml").write_text(f"{group}:\n  {name}: {content}\n")
    presets = folder / "presets"
    (presets / group).mkdir(parents=True)
    chosen = presets / group / f"{choice.partition('=')[2]}.yaml"
    chosen.write_text(f"{group}: {{{name}: another}}")
    monkeypatch.setattr(unheeded, "_CONFIGS", presets)
    [line] = unheeded.notices(["fit", "--config=mine.yaml", f"--config={chosen}"])
    start, end = "does: write ", f" on the command line, or leave {choice} out"
    shown = line[line.index(start) + len(start) : line.index(end)]
    bash = ["bash", "-c", f"printf '%s\\0' {shown}"]
    printed = subprocess.run(bash, capture_output=True, text=True, check=True).stdout
    word = printed.removesuffix("\0")
    assert word.startswith(f"{option}=")
    assert safe_yaml.load(word.partition("=")[2]) == safe_yaml.load(content)


def test_variables_of_lightning_that_have_no_effect_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PL_TRAINER_MAX_EPOCHS", "5\n6")
    monkeypatch.setenv("PL_TRAINER_DEVICES", "2")
    monkeypatch.setenv("PL_TRAINER_OF_ANOTHER_PROGRAM", "2")
    assert lines() == [
        "the variable PL_TRAINER_DEVICES has no effect: write trainer.devices=2",
        "the variable PL_TRAINER_MAX_EPOCHS has no effect: write $'trainer.max_epochs=5\\x0a6'",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["trainer.devices=4"],
        ["--trainer.devices", "4"],
        ["--trainer={devices: 4}"],
        ["config=mine.yaml"],
    ],
)
def test_a_variable_beside_its_option_is_no_line(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine.yaml").write_text("trainer: {devices: 4}")
    monkeypatch.setenv("PL_TRAINER_DEVICES", "2")
    assert lines(*words) == []
    assert len(lines("trainer=cpu")) == 1


@pytest.mark.parametrize("unit", ["epochs", "steps"])
def test_a_least_length_above_the_largest_is_refused(unit: str) -> None:
    most = f"trainer.max_{unit}=4"
    parse(most, f"trainer.min_{unit}=4")
    parse(f"trainer.min_{unit}=9", "trainer.max_epochs=-1", "trainer.max_steps=-1")
    with pytest.raises(UsageError, match=rf"^trainer\.min_{unit}: expected 4 or fewer, .*found 5"):
        parse(most, f"trainer.min_{unit}=5")


@pytest.mark.parametrize("subcommand", ["validate", "test", "predict"])
def test_the_length_of_a_training_does_not_matter_without_one(subcommand: str) -> None:
    Path("mine.yaml").write_text("trainer: {min_epochs: 10, max_epochs: 20}")
    assert parse(subcommand, "config=mine.yaml", "model=resnet34").trainer.max_epochs == 8


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        (["model.image_size=32"], r"found 32; set data\.image_size instead"),
        (["--model.init_args.image_size", "32"], r"found 32; set data\.image_size instead"),
        (["--model.init_args={image_size: 32}"], r"found 32; set data\.image_size instead"),
        (["model.class_names=[cat,dog]"], r"found \[cat,dog\]; rename the class folders"),
        (["config=mine.yaml"], r"found 32; set data\.image_size instead"),
    ],
)
def test_an_option_of_the_model_that_the_data_replace_is_refused(
    words: list[str], remedy: str
) -> None:
    Path("mine.yaml").write_text("model: {init_args: {image_size: 32}}")
    with pytest.raises(UsageError, match=rf"^model\.\w+: expected no value of its own.*{remedy}"):
        parse(*words)


def test_a_file_that_leaves_them_open_is_accepted() -> None:
    Path("mine.yaml").write_text("model: {init_args: {image_size: null}}")
    parse("config=mine.yaml", "data.image_size=32")


def test_text_in_the_place_of_a_file_is_read_as_one() -> None:
    with pytest.raises(UsageError, match=r"^model\.image_size: expected no value of its own"):
        parse("--config", "{model: {init_args: {image_size: 32}}}")
    text = "{trainer: {max_epochs: 3}}"
    assert parse("--config", text, "model=convnext_t").trainer.max_epochs == 8
    assert lines("--config", text, "model=convnext_t")[0].startswith("model=convnext_t sets ")
    assert lines("--config", "no file") == []
