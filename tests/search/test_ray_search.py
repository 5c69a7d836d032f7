"""Real searches on the digits whose trainings are tasks of Ray, on this machine."""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import subprocess
import time
from pathlib import Path

import pytest

from src.run import reading
from src.search.records import VERSION, SearchRecord
from tests.search.test_killed_search import start, training_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("ray") is None, reason="the extra ray is not installed"
    ),
]
WORDS = ("engine=ray", "ray.cpus=1")


def parent_of(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    [parent] = [line.split()[1] for line in status.splitlines() if line.startswith("PPid:")]
    return int(parent)


def wait_for_training(folder: Path, process: subprocess.Popen[str]) -> int:
    """Return the process of a training that has begun."""
    while (training := training_in(folder)) is None:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    return training


def finish(folder: Path, process: subprocess.Popen[str]) -> SearchRecord:
    """Wait for the end of a command, check its files, and return its record."""
    printed = process.communicate(timeout=1800)[0]
    assert process.returncode == 0, printed
    record = reading.read(folder / "search" / "search.json", SearchRecord, (VERSION,))
    assert record.answer is not None
    assert (folder / "search" / record.answer.folder).is_dir()
    assert {outcome.kind for outcome in record.outcomes} == {"judged", "dropped"}
    for entry in record.measured:
        # One run a candidate: a training that goes on makes no new one.
        assert len(list(folder.glob(f"search/{entry.run}/../version_*"))) == 1
        assert {rung.machine for rung in entry.rungs} == {platform.node()}
    assert f"Trainings by Ray on {platform.node()}." in (folder / "search/search.md").read_text()
    assert not list((folder / "search").glob(".token-*"))
    assert training_in(folder) is None
    return record


def candidates_in(folder: Path) -> set[bytes]:
    """Return the folders of the candidates that are trained now."""
    words: set[bytes] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve() == folder.resolve():
                words.update((process / "cmdline").read_bytes().split(b"\0"))
        except OSError:  # it has ended, or is another user's
            continue
    root = b"trainer.default_root_dir="
    return {word for word in words if word.startswith(root) and b"/candidates/" in word}


def test_trainings_run_side_by_side(tmp_path: Path) -> None:
    process = start(tmp_path, *WORDS)
    most = 0
    while process.poll() is None and most < 2:
        most = max(most, len(candidates_in(tmp_path)))
        time.sleep(0.05)
    record = finish(tmp_path, process)
    assert most == 2
    assert record.engine == "ray"
    assert all(rung.search_seconds is not None for entry in record.measured for rung in entry.rungs)


def test_ctrl_c_saves_checkpoints_and_the_next_command_goes_on(tmp_path: Path) -> None:
    process = start(tmp_path, *WORDS)
    wait_for_training(tmp_path, process)
    time.sleep(3)  # within its start or its first epoch
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=300)[0]
    assert process.returncode == 128 + signal.SIGINT, printed
    assert "go on with: python -m src.search" in printed
    assert "Traceback" not in printed
    assert training_in(tmp_path) is None
    finish(tmp_path, start(tmp_path, *WORDS))


def test_a_killed_command_is_gone_on_with(tmp_path: Path) -> None:
    process = start(tmp_path, *WORDS)
    wait_for_training(tmp_path, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finish(tmp_path, start(tmp_path, *WORDS))


def test_a_worker_that_is_killed_costs_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, *WORDS)
    parent = parent_of(wait_for_training(tmp_path, process))
    assert b"ray::" in Path(f"/proc/{parent}/cmdline").read_bytes()
    os.kill(parent, signal.SIGKILL)
    finish(tmp_path, process)
