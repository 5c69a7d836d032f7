"""Threads of torch where a container may use fewer cores than the machine has."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
import torch
from lightning.fabric.utilities import distributed

from src.cli import app
from src.system import machine, torch_threads
from tests.training.test_errors_in_training import SHORT


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with four cores, on which torch has four threads."""
    monkeypatch.setattr(machine, "usable_core_numbers", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(distributed, "_num_cpus_available", lambda: 4)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    with mock.patch.dict(os.environ):  # Lightning's launcher sets variables
        os.environ.pop("OMP_NUM_THREADS", None)
        yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("is_launched", [False, True])
@pytest.mark.parametrize(("cores", "processes", "expected"), [(2, 1, 2), (3, 2, 1), (1, 4, 1)])
def test_torch_has_no_more_threads_than_the_quota_has_cores(
    cores: int,
    processes: int,
    expected: int,
    is_launched: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: cores)
    torch_threads.limit(processes, is_launched=is_launched)
    assert torch.get_num_threads() == expected
    # A launcher of Lightning, and the processes that it starts, go by the variable.
    assert os.environ.get("OMP_NUM_THREADS") == (str(expected) if is_launched else None)


def test_processes_without_a_quota_are_left_to_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    torch_threads.limit(2, is_launched=True)
    assert torch.get_num_threads() == 2
    assert "OMP_NUM_THREADS" not in os.environ


def test_threads_that_the_user_chose_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch_threads.limit()
    assert torch.get_num_threads() == 4


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("nodes", [1, 2])
def test_a_launcher_of_one_process_leaves_the_threads_at_the_quota(
    nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def launch(command: app.CLI, subcommand: str) -> None:
        launcher = command.trainer.strategy.launcher
        assert launcher is not None
        threads.append(launcher.launch(torch.get_num_threads))

    monkeypatch.setattr(machine, "usable_cores", lambda: 2)
    monkeypatch.setattr(app.CLI, "_run_subcommand", launch)
    of_one = ("trainer.strategy=ddp", "trainer.devices=1", f"trainer.num_nodes={nodes}")
    app.main([*SHORT, *of_one])
    assert threads == [2]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("elsewhere")
def test_a_training_in_a_container_has_as_many_threads_as_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 1)
    app.main([*SHORT, "trainer.max_epochs=1"])
    assert torch.get_num_threads() == 1
    assert list(Path("lightning_logs").iterdir())
