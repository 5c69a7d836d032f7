"""The twin in a training: called before the export, on rank 0, and lost without loss."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from src.errors import LightshipError, UsageError
from src.run.folder import Run
from src.run.twin_files import TwinFiles
from src.system.signals import Stopped
from src.twin import callback
from src.twin.callback import TwinCallback


class Command:
    """The command of the twin, replaced.

    Args:
        code: its exit code.
    """

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.calls: list[tuple[str, list[str]]] = []
        self.held: Path | None = None

    def __call__(self, module: str, argv: list[str], *, held: Path) -> int:
        self.calls.append((module, argv))
        self.held = held
        return self.code


def trainer(*, rank: int = 0) -> Any:
    return SimpleNamespace(
        is_global_zero=rank == 0,
        global_step=8,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )


@pytest.fixture
def command(run: Run, monkeypatch: pytest.MonkeyPatch) -> Command:
    command = Command()
    monkeypatch.setattr(callback, "finished_checkpoint", lambda _: run.best_checkpoint)
    monkeypatch.setattr(callback, "run_in_subprocess", command)
    return command


def fit(twin: TwinCallback, fake: Any, *, resumed_at: int | None = None) -> None:
    """Call the hooks; without ``on_train_start``, which Lightning leaves out if nothing is left."""
    module: Any = None
    if resumed_at is not None:
        twin.on_load_checkpoint(fake, module, {"global_step": resumed_at})
    twin.on_fit_start(fake, module)
    twin.on_fit_end(fake, module)


def test_the_command_gets_the_run_and_the_cost_of_the_training_is_kept(
    run: Run, command: Command
) -> None:
    fit(TwinCallback(enabled=True), trainer())
    assert command.calls == [("src.twin", [str(run.folder)])]
    assert command.held == run.folder
    cost = TwinFiles(run).read_training()
    assert cost is not None
    assert cost.peak_rss_bytes > 0


def test_again_is_passed_on(run: Run, command: Command) -> None:
    fit(TwinCallback(enabled=True, again=True), trainer())
    assert command.calls == [("src.twin", [str(run.folder), "again=true"])]


@pytest.mark.parametrize(
    ("enabled", "rank"), [(False, 0), (True, 1)], ids=["not asked for", "another rank"]
)
def test_no_twin_is_made(enabled: bool, rank: int, command: Command) -> None:
    fit(TwinCallback(enabled=enabled), trainer(rank=rank))
    assert command.calls == []


def test_no_checkpoint_no_twin(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback, "finished_checkpoint", lambda _: None)
    fit(TwinCallback(enabled=True), trainer())
    assert command.calls == []


@pytest.mark.parametrize(("code", "cause"), [(1, "exit code 1"), (-9, "SIGKILL")])
def test_a_failure_is_one_line_and_fails_the_command_at_its_end(
    code: int, cause: str, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    command.code = code
    twin = TwinCallback(enabled=True)
    fit(twin, trainer())
    [line] = [line for line in capsys.readouterr().out.splitlines() if "was not made" in line]
    assert cause in line
    assert "the export goes on without it" in line
    with pytest.raises(LightshipError, match=f"was not made .{cause}.*everything else is done"):
        twin.require_success()


def test_a_signal_ends_the_training_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    def stop(*_: object, **__: object) -> int:
        raise Stopped(2)

    monkeypatch.setattr(callback, "run_in_subprocess", stop)
    with pytest.raises(Stopped):
        fit(TwinCallback(enabled=True), trainer())


def test_the_cost_of_a_training_in_two_pieces_is_not_kept(run: Run, command: Command) -> None:
    twin = TwinCallback(enabled=True)
    fit(twin, trainer())
    before = TwinFiles(run).read_training()
    fit(TwinCallback(enabled=True), trainer(), resumed_at=8)  # at its end
    assert TwinFiles(run).read_training() == before is not None
    fit(TwinCallback(enabled=True), trainer(), resumed_at=4)
    assert TwinFiles(run).read_training() is None


def test_missing_packages_are_told_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callback, "REQUIRES", ("onnx", "no_such_package"))
    module: Any = None
    with pytest.raises(UsageError, match="not installed: no_such_package"):
        TwinCallback(enabled=True).on_fit_start(trainer(), module)
    TwinCallback().on_fit_start(trainer(), module)


def test_numbers_out_of_range_are_refused_by_name() -> None:
    for options, name in (({"epochs": 0}, "twin.epochs"), ({"max_minutes": 0}, "twin.max_minutes")):
        with pytest.raises(UsageError, match=name):
            TwinCallback(enabled=True, **options)


def test_the_folder_of_the_run_is_that_of_the_checkpoint(run: Run, command: Command) -> None:
    fit(TwinCallback(enabled=True), trainer())
    assert Path(command.calls[0][1][0]) == run.folder
