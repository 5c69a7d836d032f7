"""Several architectures in one command: trained in turn even if one fails, then compared."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from src.cli import app, sweep
from src.errors import LightshipError, UsageError
from src.run.folder import Run
from tests.compare.test_comparison import file, keep
from tests.conftest import ROOT
from tests.report.planted import results


class Trainer:
    """A fake training that leaves a measured run, except of the failing architectures."""

    def __init__(self, folder: Path, *failing: str) -> None:
        self.folder, self.failing = folder, failing
        self.commands: list[list[str]] = []

    def __call__(self, argv: Sequence[str], run_file: Path) -> int:
        self.commands.append([*argv])
        model = argv[-1].removeprefix("model=")
        if model in self.failing:
            return 3
        run = keep(self.folder, model, results(file("eager", 0.008, 0.95)))
        run_file.write_text(str(run))
        return 0


def test_a_command_with_one_architecture_is_no_sweep() -> None:
    assert sweep.models_in(["model=resnet34", "model.lr=1,2"]) == []
    assert sweep.models_in([]) == []
    assert sweep.models_in(["fit", "model=resnet34,convnext_t"]) == ["resnet34", "convnext_t"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["model=resnet34,resnet43"], r"model: .*found resnet43; did you mean model=resnet34"),
        (["model=resnet34,"], r"model: .*found nothing"),
        (["model=resnet34,resnet34"], r"model: expected each name once"),
        (["test", "model=resnet34,convnext_t"], r"model: expected one name with test"),
    ],
)
def test_a_sweep_refuses_wrong_names_before_the_first_training(
    argv: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        sweep.models_in(argv)


def test_a_sweep_trains_each_architecture_with_the_same_options_and_compares_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = Trainer(tmp_path)
    sweep.main(["a", "b"], ["fit", "model=a,b", "trainer.max_epochs=2"], train)
    assert train.commands == [
        ["fit", "trainer.max_epochs=2", "model=a"],
        ["fit", "trainer.max_epochs=2", "model=b"],
    ]
    printed = capsys.readouterr().out
    assert "a as eager" in printed
    assert "b as eager" in printed
    assert (tmp_path / "comparison.html").is_file()


def test_a_failed_training_does_not_stop_the_sweep_and_is_reported_at_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = Trainer(tmp_path, "a")
    with pytest.raises(LightshipError, match=r"1 of 3 failed: a \(exit code 3\)"):
        sweep.main(["a", "b", "c"], ["model=a,b,c"], train)
    printed = capsys.readouterr().out
    assert "c as eager" in printed
    assert "a as eager" not in printed


def test_a_sweep_in_which_all_fail_compares_nothing(tmp_path: Path) -> None:
    with pytest.raises(LightshipError, match="2 of 2 failed"):
        sweep.main(["a", "b"], [], Trainer(tmp_path, "a", "b"))
    assert not list(tmp_path.iterdir())


def test_a_sweep_does_not_compare_runs_without_a_measurement(tmp_path: Path) -> None:
    def train(argv: Sequence[str], run_file: Path) -> int:
        (tmp_path / "run").mkdir(exist_ok=True)
        run_file.write_text(str(tmp_path / "run"))
        return 0

    sweep.main(["a", "b"], [], train)
    assert not list(tmp_path.glob("comparison*"))


def test_a_child_of_a_sweep_reports_its_run_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main(argv: Sequence[str], on_run: Callable[[Run], object]) -> None:
        assert argv == ["model=resnet34"]
        on_run(Run(tmp_path / "run"))
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "main", main)
    monkeypatch.setattr(sys, "argv", ["sweep", str(tmp_path / "run_file"), "model=resnet34"])
    with pytest.raises(KeyboardInterrupt):
        sweep._train_one()
    assert (tmp_path / "run_file").read_text() == str(tmp_path / "run")


@pytest.mark.slow
def test_a_mistake_in_a_sweeps_child_has_its_own_line_and_exit_code(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "src.train", "model=resnet34,convnext_t", "trainer.epochs=3"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 1
    lines = ended.stderr.strip().splitlines()
    assert len(lines) == 3, json.dumps(lines)
    assert all("trainer.epochs" in line for line in lines[:2])
    assert lines[2] == "error: 2 of 2 failed: resnet34 (exit code 2), convnext_t (exit code 2)"
