"""The processes that hold a lock are named, with the command that lets a stopped one go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from src.system import lock_holders, waiting_lock

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")

CHILD = (
    "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], close_fds=False)"
)
READ = "print('ready', flush=True); input()"


def start(path: Path, *words: str) -> subprocess.Popen[str]:
    """Return a process that holds the lock of a file and has begun."""
    with waiting_lock.held(path, lambda: pytest.fail("nobody else has it")) as lock:
        process = subprocess.Popen(
            [sys.executable, "-c", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(lock,),
            text=True,
        )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def wait_for(process: subprocess.Popen[str], state: str) -> None:
    while f") {state} " not in Path(f"/proc/{process.pid}/stat").read_text():
        time.sleep(0.01)


def test_the_process_that_holds_a_lock_is_named(tmp_path: Path) -> None:
    path = tmp_path / "search.lock"
    assert lock_holders.in_words(path) == ""
    process = start(path, READ)
    words = lock_holders.in_words(path)
    assert words.startswith(f": process {process.pid} ({sys.executable[:20]}")
    assert "kill" not in words
    assert len(words) < 200
    os.kill(process.pid, signal.SIGSTOP)
    wait_for(process, "T")
    expected = f"; it is stopped, and goes on with: kill -CONT {process.pid}"
    assert lock_holders.in_words(path).endswith(expected)
    os.kill(process.pid, signal.SIGCONT)
    process.communicate("\n")
    assert lock_holders.in_words(path) == ""


def test_of_a_process_and_its_children_only_the_process_is_named(tmp_path: Path) -> None:
    path = tmp_path / "search.lock"
    process = start(path, CHILD, READ)
    words = lock_holders.in_words(path)
    assert words.startswith(f": process {process.pid} (")
    assert words.count(sys.executable[:20]) == 1
    process.communicate("\n")


def test_this_process_is_no_holder_that_is_waited_for(tmp_path: Path) -> None:
    with waiting_lock.held(tmp_path / "lock", lambda: None):
        assert lock_holders.in_words(tmp_path / "lock") == ""
