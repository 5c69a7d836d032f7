"""The command that a stopped training prints goes on with that training and no other."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from src.cli.resume_command import resume_command
from src.run.folder import LAST, Run

FOUND = {"model.lr": 0.0012, "data.batch_size": 64}


def run_with_checkpoint(folder: Path) -> Run:
    run = Run(folder.resolve())
    run.last_checkpoint.parent.mkdir(parents=True)
    run.last_checkpoint.touch()
    return run


def words(argv: list[str], run: Run, **options: object) -> list[str]:
    enabled = {f"finetune.{name}": value for name, value in options.items()}
    return shlex.split(resume_command(argv, run, enabled, FOUND))[3:]


@pytest.fixture
def run(elsewhere: Path) -> Run:
    return run_with_checkpoint(elsewhere / "lightning_logs" / "resnet34" / "version_0")


@pytest.mark.parametrize(
    "before",
    [
        [],
        ["ckpt_path=last"],
        ["--ckpt_path", "last"],
        ["--ckpt_path=lightning_logs/resnet34/version_0"],
        ["ckpt_path=other/last.ckpt"],
    ],
)
def test_the_newest_run_is_named_last_once(before: list[str], run: Run) -> None:
    argv = ["fit", *before, "--config", "my file.yaml", "trainer.max_epochs=3"]
    expected = ["fit", "--config", "my file.yaml", "trainer.max_epochs=3", "ckpt_path=last"]
    assert words(argv, run) == expected


def test_an_older_run_is_named_by_its_folder(run: Run, elsewhere: Path) -> None:
    newer = run_with_checkpoint(elsewhere / "lightning_logs" / "resnet34" / "version_1")
    folder = "lightning_logs/resnet34/version_0"
    assert words(["model=resnet34"], run) == ["model=resnet34", f"ckpt_path={folder}"]
    assert words(["ckpt_path=last"], run) == [f"ckpt_path={folder}"]
    assert words([], newer) == ["ckpt_path=last"]


def test_a_newer_run_without_a_checkpoint_is_not_what_last_means(run: Run, elsewhere: Path) -> None:
    (elsewhere / "lightning_logs" / "resnet34" / "version_1").mkdir()
    assert words([], run) == ["ckpt_path=last"]


def test_a_run_outside_the_working_folder_and_all_logs_is_named_in_full(
    elsewhere: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    renamed = run_with_checkpoint(tmp_path_factory.mktemp("a run") / "the good one")
    assert words([], renamed) == [f"ckpt_path={renamed.folder}"]
    assert (renamed.folder / LAST).is_file()
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("argv", "kept"),
    [
        (["finetune.find_lr=true", "model=resnet34"], ["model=resnet34"]),
        (["--finetune.find_lr", "true", "model=resnet34"], ["model=resnet34"]),
        (["--finetune.find_lr=true"], []),
        (["--config", "my.yaml"], ["--config", "my.yaml", "finetune.find_lr=false"]),
    ],
)
def test_a_finder_is_replaced_by_what_it_found(argv: list[str], kept: list[str], run: Run) -> None:
    expected = [*kept, "model.lr=0.0012", "ckpt_path=last"]
    assert words(argv, run, find_lr=True, find_batch_size=False) == expected


def test_both_finders_are_replaced(run: Run) -> None:
    argv = ["finetune.find_lr=true", "finetune.find_batch_size=true"]
    expected = ["model.lr=0.0012", "data.batch_size=64", "ckpt_path=last"]
    assert words(argv, run, find_lr=True, find_batch_size=True) == expected
