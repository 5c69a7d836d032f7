"""Two commands that write into one run: the second one is refused."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from src.cli.run_lock import RunLock
from src.errors import UsageError
from src.run.folder import Run
from src.system import child_commands
from src.system.folder_lock import HELD_BY_PARENT
from tests.support.user_files import contents

REFUSED = r"^RUN: expected a run that no other command works in; found .*being trained, exported"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path.resolve())
    run.config.write_text("{}\n")
    run.last_checkpoint.parent.mkdir()
    run.last_checkpoint.touch()
    return run


@pytest.mark.parametrize(
    "words",
    [
        ("export",),
        ("benchmark",),
        ("benchmark", "--with", "onnxruntime==1.30.0"),
        ("serve_test",),
        ("twin",),
    ],
    ids=" ".join,
)
def test_a_stage_is_refused_while_another_command_works_in_the_run(
    words: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    command: Any = importlib.import_module(f"src.cli.commands.{words[0]}")
    monkeypatch.setattr(sys, "argv", [words[0], str(run.folder), *words[1:]])
    before = contents(run.folder)
    with RunLock() as training:
        training.take(run)
        with pytest.raises(UsageError, match=REFUSED) as refused:
            command.main()
    assert "\n" not in str(refused.value)
    assert contents(run.folder) == before


def test_a_training_is_refused_while_a_stage_works_in_the_run(run: Run) -> None:
    refused = "ckpt_path: expected a run that no other process trains"
    with RunLock.held(run), RunLock() as training, pytest.raises(UsageError, match=refused):
        training.take(run)
    with RunLock() as training:
        training.take(run)


def test_a_command_that_is_a_part_of_a_training_uses_its_lock(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, str]] = []
    monkeypatch.setattr(child_commands, "start", lambda _, variables, *__: given.append(variables))
    monkeypatch.setattr(child_commands, "wait_for", lambda *_: 0)
    child_commands.run_in_subprocess("src.twin", [], held=run.folder)
    child_commands.run_in_subprocess("src.twin", [])
    assert [HELD_BY_PARENT in variables for variables in given] == [True, False]
    with RunLock() as training:
        training.take(run)
        monkeypatch.setenv(HELD_BY_PARENT, given[0][HELD_BY_PARENT])
        with RunLock.held(run):
            pass
        monkeypatch.setenv(HELD_BY_PARENT, str(run.folder.parent))
        with pytest.raises(UsageError, match=REFUSED), RunLock.held(run):
            pass


def test_a_run_that_cannot_be_written_is_locked_as_well(run: Run) -> None:
    run.folder.chmod(0o555)
    try:
        with RunLock.held(run), pytest.raises(UsageError, match=REFUSED), RunLock.held(run):
            pass
    finally:
        run.folder.chmod(0o755)
