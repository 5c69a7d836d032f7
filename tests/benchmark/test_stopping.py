"""A worker that is stopped between its requests, with a runtime whose thread never ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from src.run.folder import Run
from src.worker import protocol, stopping
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess
from tests.benchmark.planted_formats import Data
from tests.conftest import ROOT

pytestmark = pytest.mark.skipif(not stopping.IS_POSSIBLE, reason="needs Linux")
LIMITS = Limits(threads=1, answer_seconds=60, resident_bytes=10**10)
# A parent that loads a file, lets the worker rest, says its number, and waits.
PARENT = """
import sys, time
from pathlib import Path
import numpy as np
from src.worker import protocol
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess
worker = WorkerProcess("spinning", Path(sys.argv[1]), "cpu", Limits(1, 60, 10**10))
worker.ask(protocol.Load(classes=3))
worker.predict(np.ones((1, 3, 4, 4), np.float32))
assert worker.rest()
print(worker.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def spinning(run: Run) -> Path:
    """The folder of a file whose runtime spins in a thread from its first call on."""
    folder = run.exports / "spinning"
    folder.mkdir()
    (folder / "weights").write_text("spinning")
    return folder


@pytest.fixture
def worker(spinning: Path) -> Iterator[WorkerProcess]:
    with closing(WorkerProcess("spinning", spinning, "cpu", LIMITS)) as worker:
        worker.ask(protocol.Load(classes=3))
        worker.predict(Data().images[:1])
        yield worker


def state(pid: int) -> str:
    """One letter: R runs, S sleeps, T is stopped, Z has ended."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_resting_worker_uses_no_cpu_and_answers_again(worker: WorkerProcess) -> None:
    pid = worker.pid
    images = Data().images[:5]
    expected = worker.predict(images)
    for _ in range(3):
        assert worker.rest()
        assert state(pid) == "T"
        before = cpu_seconds(pid)
        time.sleep(0.2)
        assert cpu_seconds(pid) == before
        assert np.array_equal(worker.predict(images), expected)
        assert state(pid) != "T"


def test_a_worker_that_cannot_be_stopped_says_that_it_spins(
    spinning: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "IS_POSSIBLE", False)
    with closing(WorkerProcess("spinning", spinning, "cpu", LIMITS)) as worker:
        worker.ask(protocol.Load(classes=3))
        assert worker.rest()  # nothing was called
        worker.predict(Data().images[:1])
        assert not worker.rest()
        assert state(worker.pid) != "T"


def test_a_worker_that_was_killed_while_it_rested_is_reported(worker: WorkerProcess) -> None:
    worker.rest()
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="ended with SIGKILL"):
        worker.predict(Data().images[:1])


def test_a_worker_that_dies_of_the_stop_is_reported(worker: WorkerProcess) -> None:
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="ended with SIGKILL"):
        worker.rest()


def test_a_worker_has_a_group_of_its_own(worker: WorkerProcess) -> None:
    # The kernel ends a group with a stopped process when the shell that started it ends.
    assert os.getpgid(worker.pid) == worker.pid != os.getpgid(0)


def test_a_process_that_ended_before_the_stop_is_no_error() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    stopping.stop(process)
    stopping.go_on(process)


def test_a_resting_worker_ends_with_its_parent(spinning: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(spinning)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    with parent:
        pid = int(parent.stdout.readline())
        assert state(pid) == "T"
        parent.kill()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and state(pid) != "Z":
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)
