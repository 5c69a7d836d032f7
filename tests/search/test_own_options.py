"""Files that would end a training early, which a search refuses before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.cli.commands import search as command
from src.errors import UsageError


class MeasuringError(Exception):
    """The first forecast is measured."""


def _measures(argv: list[str], run_file: Path, log: Path, kept_open: list[int]) -> int:
    raise MeasuringError


@pytest.fixture(autouse=True)
def nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "train_in_subprocess", _measures)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("finetune: {find_lr: true}", "finetune.find_lr"),
        ("finetune: {find_batch_size: true}", "finetune.find_batch_size"),
        ("trainer: {max_time: 00:01:00:00}", "trainer.max_time"),
        ("trainer: {max_time: {hours: 1}}", "trainer.max_time"),
        ("trainer: {fast_dev_run: true}", "trainer.fast_dev_run"),
        ("trainer: {fast_dev_run: 3}", "trainer.fast_dev_run"),
        ("trainer: {max_steps: 100}", "trainer.max_steps"),
        ("trainer: {min_epochs: 5}", "trainer.min_epochs"),
        ("trainer: {check_val_every_n_epoch: 2}", "trainer.check_val_every_n_epoch"),
        ("ckpt_path: best", "ckpt_path"),
        ("benchmark: {load: true}", "benchmark.load"),
        (
            "lr_scheduler: {class_path: torch.optim.lr_scheduler.ReduceLROnPlateau}",
            "lr_scheduler.class_path",
        ),
        ("lr_scheduler: ReduceLROnPlateau", "lr_scheduler"),
        (
            "trainer: {callbacks: [{class_path: lightning.pytorch.callbacks.EarlyStopping}]}",
            "trainer.callbacks",
        ),
        ("trainer: {callbacks: [{class_path: Timer}]}", "trainer.callbacks"),
    ],
)
def test_a_file_that_ends_trainings_early_is_refused_in_one_line(
    tmp_path: Path, text: str, option: str
) -> None:
    Path("own.yaml").write_text(f"{text}\n")
    for words in (["--config=own.yaml"], ["--config", "own.yaml", "model=resnet34,densenet121"]):
        with pytest.raises(UsageError) as caught:
            command.main(words)
        assert str(caught.value).startswith(f"{option}: expected ")
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "own.yaml"]


@pytest.mark.parametrize(
    "text",
    [
        "finetune: {find_lr: false, patience: 3}",
        "trainer: {max_time: null, fast_dev_run: false, max_steps: -1, min_epochs: 1}",
        "trainer: {check_val_every_n_epoch: 1, max_epochs: 3}",
        "benchmark: {load: false}",
        "checkpoint: {monitor: val/loss}\nexport: {enabled: false}\nckpt_path: null",
        "trainer: {callbacks: [{class_path: lightning.pytorch.callbacks.LearningRateMonitor}]}",
    ],
)
def test_a_file_that_leaves_trainings_whole_is_searched_with(text: str) -> None:
    Path("own.yaml").write_text(f"{text}\n")
    with pytest.raises(MeasuringError):
        command.main(["--config=own.yaml"])


def test_a_later_file_may_take_the_option_back() -> None:
    Path("own.yaml").write_text("finetune: {find_lr: true}\n")
    Path("later.yaml").write_text("finetune: {find_lr: false}\n")
    with pytest.raises(MeasuringError):
        command.main(["--config=own.yaml", "--config=later.yaml"])


@pytest.mark.parametrize(
    ("word", "option"),
    [
        ("--finetune={find_lr: true}", "finetune.find_lr"),
        ('--trainer={max_epochs: 3, max_time: "00:01:00:00"}', "trainer.max_time"),
        ("--checkpoint={monitor: val/loss}", None),
        ("--trainer={max_epochs: 3}", None),
    ],
)
def test_a_mapping_that_ends_trainings_early_is_refused_as_a_file_is(
    word: str, option: str | None
) -> None:
    with pytest.raises(UsageError if option else MeasuringError) as caught:
        command.main([word])
    assert str(caught.value).startswith(f"{option}: expected " if option else "")


@pytest.mark.parametrize("value", ["EarlyStopping", "lightning.pytorch.callbacks.Timer"])
def test_a_callback_that_ends_trainings_early_is_refused_as_a_word(value: str) -> None:
    for words in (
        [f'trainer.callbacks+={{"class_path": "{value}"}}'],
        [f"--trainer.callbacks={value}"],
        ["--trainer.callbacks", value],
    ):
        with pytest.raises(UsageError, match=r"trainer\.callbacks: expected no callback"):
            command.main(words)
