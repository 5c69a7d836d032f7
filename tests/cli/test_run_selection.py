"""The run that a command works in: a new one, the newest one, or the one that is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from src.cli import app, run_selection
from src.cli.rollback import RunRollback
from src.cli.run_lock import RunLock
from src.cli.run_selection import RunRequest, Selection, open_run
from src.errors import UsageError
from src.run.folder import Run
from tests.cli.test_app import parsed_command_line


@pytest.fixture(autouse=True)
def _any_checkpoint_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_selection, "_require_fitting", lambda *_: None)


class NamedModel:
    name = "resnet34"


def make_run(number: int) -> Run:
    run = Run(Path("lightning_logs", "resnet34", f"version_{number}").resolve())
    run.last_checkpoint.parent.mkdir(parents=True)
    for file in (run.config, run.last_checkpoint, run.best_checkpoint):
        file.write_text(str(number))
    return run


def choose(
    ckpt_path: str | None, lock: RunLock, rollback: RunRollback | None = None, **options: Any
) -> Selection:
    settings = {"subcommand": "fit", "is_trial": False} | options
    request = RunRequest(Path(), NamedModel(), ckpt_path=ckpt_path, **settings)  # type: ignore[arg-type]
    return open_run(request, rollback or RunRollback(), lock)


@pytest.fixture
def runs(elsewhere: Path) -> list[Run]:
    assert elsewhere == Path.cwd()
    return [make_run(0), make_run(1)]


@pytest.fixture
def lock() -> Iterator[RunLock]:
    with RunLock() as held:
        yield held


def test_a_training_goes_on_in_the_run_whose_folder_is_named(
    runs: list[Run], lock: RunLock
) -> None:
    first, second = runs
    for path in (str(first.folder), "lightning_logs/resnet34/version_0/"):
        with RunLock() as own:
            assert choose(path, own) == Selection(first, first.last_checkpoint)
    assert choose("last", lock) == Selection(second, second.last_checkpoint)


def test_other_commands_read_the_best_checkpoint_of_a_named_run(
    runs: list[Run], lock: RunLock
) -> None:
    first = runs[0]
    path = str(first.folder)
    assert choose(path, lock, subcommand="test") == Selection(first, first.best_checkpoint)
    first.best_checkpoint.unlink()
    assert choose(path, lock, subcommand="predict") == Selection(first, first.last_checkpoint)


def test_the_path_of_a_checkpoint_begins_a_new_run(runs: list[Run], lock: RunLock) -> None:
    selected = choose(str(runs[0].last_checkpoint), lock)
    assert selected.run is not None
    assert selected.run.folder.name == "version_2"
    assert selected.checkpoint is None


@pytest.mark.parametrize("name", ["config.yaml", "checkpoints/last.ckpt"])
def test_a_folder_that_is_no_run_is_refused(name: str, runs: list[Run], lock: RunLock) -> None:
    (runs[0].folder / name).unlink()
    with pytest.raises(UsageError, match=r"^ckpt_path: .*which is no run with checkpoints/last"):
        choose(str(runs[0].folder), lock)
    assert sorted(path.name for path in runs[0].folder.parent.iterdir()) == [
        "version_0",
        "version_1",
    ]


@pytest.mark.parametrize("path", ["last", "best", "lightning_logs/resnet34/version_1"])
def test_a_run_that_another_process_trains_is_refused_until_that_ends(
    path: str, runs: list[Run], lock: RunLock
) -> None:
    before = sorted(runs[1].folder.rglob("*"))
    with RunLock() as other:
        choose(path, other)
        with pytest.raises(UsageError, match=r"^ckpt_path: expected a run that no other process"):
            choose(path, lock)
        # Reading it is no training, and a trial keeps nothing.
        choose(path, lock, subcommand="test")
        choose(path, lock, is_trial=True)
    assert choose(path, lock).run == runs[1]
    assert sorted(runs[1].folder.rglob("*")) == before


@pytest.mark.parametrize("path", ["last", "best", "lightning_logs/resnet34/version_1"])
@pytest.mark.parametrize("steps", [0, 1])
def test_a_trial_writes_nothing_into_the_run_that_it_goes_on_from(
    steps: int, path: str, runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("announce", "announce_loaded_weights"):
        monkeypatch.setattr(app, name, lambda *_: None)
    command = parsed_command_line(f"trainer.fast_dev_run={steps}", f"ckpt_path={path}")
    monkeypatch.setattr(command, "_require_fitting_images", lambda *_, **__: None)
    command.config_init, command.model = command.config, NamedModel()
    command.trainer = SimpleNamespace(world_size=1, precision="32-true")
    command.datamodule = SimpleNamespace(
        smallest_batch=lambda _: 8,
        preprocessing=SimpleNamespace(input_shape=()),
        source=SimpleNamespace(own_folder=None),
    )
    run = runs[1]
    (run.folder / ".report.md.lightship-unfinished-0123456789abcdef").touch()
    before = sorted(run.folder.rglob("*"))
    command._open_run(Path())
    command.before_fit()
    assert command.run == run
    assert (sorted(run.folder.rglob("*")) == before) == bool(steps)
    assert run.command.exists() != bool(steps)


def test_a_refused_trial_restores_no_file_of_the_run(runs: list[Run], lock: RunLock) -> None:
    rollback = RunRollback()

    def refuse() -> None:
        choose("last", lock, rollback, is_trial=True)
        runs[1].config.write_text("by the training of another process")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), rollback.on_failure():
        refuse()
    assert runs[1].config.read_text() == "by the training of another process"


@pytest.mark.parametrize("name", ["NODE_RANK", "GROUP_RANK"])
@pytest.mark.parametrize("path", ["last", None])
def test_the_first_process_of_another_node_neither_locks_nor_creates_a_run(
    name: str, path: str | None, runs: list[Run], lock: RunLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunLock() as other:
        monkeypatch.setenv(name, "0")
        first = choose(path, other, num_nodes=2).run
        monkeypatch.setenv(name, "1")
        assert choose(path, lock, num_nodes=2).run == (first if path else None)
    count = len(runs) if path else len(runs) + 1
    assert len(list(runs[0].folder.parent.iterdir())) == count


def test_a_training_on_one_node_ignores_the_number_of_the_node(
    runs: list[Run], lock: RunLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_RANK", "3")
    created = choose(None, lock).run
    assert created is not None
    assert created.folder.parent == runs[0].folder.parent


def test_a_new_run_is_locked_while_it_is_trained(elsewhere: Path, lock: RunLock) -> None:
    with RunLock() as other:
        run = choose(None, other).run
        assert run is not None
        shutil.rmtree(run.folder)
        make_run(0)
    with RunLock() as other:
        other.take(run)
        with pytest.raises(UsageError, match="being trained"):
            choose("last", lock)
    assert choose("last", lock).run == run
    assert elsewhere == Path.cwd()


def test_a_forked_process_does_not_hold_the_lock_after_the_training(
    runs: list[Run], lock: RunLock
) -> None:
    (read_start, write_start), (read_end, write_end) = os.pipe(), os.pipe()
    with RunLock() as other:
        other.take(runs[0])
        child = os.fork()
        if child == 0:  # as a process that loads images, which may outlive a killed training
            os.close(write_end)
            os.write(write_start, b"!")
            os.read(read_end, 1)
            os._exit(0)
        os.read(read_start, 1)
    try:
        lock.take(runs[0])
    finally:
        os.close(write_end)
        os.waitpid(child, 0)
        for descriptor in (read_start, write_start, read_end):
            os.close(descriptor)
