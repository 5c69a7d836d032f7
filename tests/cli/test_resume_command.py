"""The command that a stopped training prints goes on with that training and no other."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from src.cli.resume_command import resume_command
from src.run.earlier_results import EarlierResults
from src.run.folder import LAST, Run
from tests.cli.test_app import parsed_command_line

LOGS = "lightning_logs"
FOUND = {"model.lr": 0.0012, "data.batch_size": 64}


def run_with_checkpoint(folder: Path) -> Run:
    run = Run(folder.resolve())
    run.last_checkpoint.parent.mkdir(parents=True)
    run.last_checkpoint.touch()
    return run


def words(
    argv: list[str], run: Run, model: str = "resnet34", root: Path | None = None, **finders: object
) -> list[str]:
    options = {f"finetune.{name}": value for name, value in finders.items()}
    options["trainer.default_root_dir"] = root
    return shlex.split(resume_command(argv, run, model, options, FOUND))[3:]


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


@pytest.mark.parametrize("has_own_runs", [False, True])
def test_a_run_below_another_root_is_not_named_last(
    has_own_runs: bool, elsewhere: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("other")
    run = run_with_checkpoint(root / "lightning_logs" / "resnet34" / "version_0")
    if has_own_runs:
        run_with_checkpoint(elsewhere / "lightning_logs" / "resnet34" / "version_7")
    for other in (None, elsewhere, elsewhere / "empty"):
        assert words([], run, root=other) == [f"ckpt_path={run.folder}"]
    assert words([], run, root=root) == ["ckpt_path=last"]


def test_a_run_below_the_root_of_the_command_is_named_last(elsewhere: Path) -> None:
    run = run_with_checkpoint(elsewhere / "out" / "lightning_logs" / "resnet34" / "version_0")
    assert words([], run, root=Path("out")) == ["ckpt_path=last"]
    assert words([], run) == ["ckpt_path=out/lightning_logs/resnet34/version_0"]


@pytest.mark.parametrize(("root", "name"), [("out", "last"), (".", "FOLDER")])
def test_the_advice_of_a_stopped_training_heeds_the_root_of_its_command(
    root: str, name: str, elsewhere: Path
) -> None:
    run = run_with_checkpoint(elsewhere / "out" / LOGS / "resnet34" / "version_0")
    stopped = parsed_command_line(f"trainer.default_root_dir={root}")
    stopped.run, stopped.argv = run, ()
    stopped.model = SimpleNamespace(name="resnet34", lr=0.1)
    stopped.datamodule = SimpleNamespace(batch_size=8)
    expected = name.replace("FOLDER", f"out/{LOGS}/resnet34/version_0")
    assert stopped._resume_advice() == f"go on with: python -m src.train ckpt_path={expected}"


def test_a_run_below_the_name_of_another_model_is_not_named_last(run: Run) -> None:
    assert words([], run, model="resnet18") == [f"ckpt_path={LOGS}/resnet34/version_0"]
    renamed = run.folder.parent.rename(run.folder.parent.with_name("my nets")) / "version_0"
    assert words([], Run(renamed)) == [f"ckpt_path={LOGS}/my nets/version_0"]


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


@pytest.mark.parametrize(
    ("argv", "kept"),
    [
        (["export.again=true", "model=resnet34"], ["model=resnet34"]),
        (["--export.again", "true"], []),
        (["--config", "my.yaml"], ["--config", "my.yaml", "export.again=false"]),
    ],
)
def test_a_stage_that_is_done_anew_is_not_done_once_more(
    argv: list[str], kept: list[str], run: Run
) -> None:
    options = {"export.again": True, "benchmark.again": False}
    made = resume_command(argv, run, "resnet34", options, FOUND)
    assert shlex.split(made)[3:] == [*kept, "ckpt_path=last"]
    # An earlier export that still stands would be the answer without the word.
    run.exports.mkdir()
    run.manifest.touch()
    made = resume_command(argv, run, "resnet34", options, FOUND, EarlierResults(run))
    assert shlex.split(made)[3:] == [*argv, "ckpt_path=last"]
