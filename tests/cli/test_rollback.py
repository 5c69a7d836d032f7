"""Files of a resumed run that a command replaces before its first step."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.cli.rollback import RunRollback
from src.run.folder import Run

FILES = ("config.yaml", "command.txt", "started_in.txt", "profile/rank0.json", "profile/rank1.json")


@pytest.mark.parametrize("is_started", [False, True])
def test_files_are_restored_unless_a_step_was_trained(is_started: bool, tmp_path: Path) -> None:
    (tmp_path / "profile").mkdir()
    for name in FILES:
        (tmp_path / name).write_text("before")
    rollback = RunRollback()
    rollback.resumes(Run(tmp_path))

    def fail() -> None:
        for name in FILES:
            (tmp_path / name).write_text("after")
        rollback.started.is_started = is_started
        raise KeyError

    with pytest.raises(KeyError), rollback.on_failure():
        fail()
    assert {(tmp_path / name).read_text() for name in FILES} == {
        "after" if is_started else "before"
    }
