"""A real search on the digits that is killed goes on, and trains no epoch twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from src.run import reading
from src.search.records import VERSION, SearchRecord
from tests.conftest import ROOT

COMMAND = (
    *("-m", "src.search", "under=10s", "at_least=5%", "rungs=1"),
    *("model=torchvision/squeezenet1_1,torchvision/mobilenet_v3_small", "data.image_size=32"),
    *("trainer.max_epochs=2", "trainer.limit_train_batches=12", "benchmark=quick"),
    # The interval of one process is assumed, so the answer would not be settled.
    *("benchmark.processes=3", "benchmark.max_seconds=60", "export.formats=[eager,onnx_fp32]"),
)


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(ROOT), *([inherited] if inherited else [])])
    return subprocess.Popen(
        [sys.executable, *COMMAND, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def training_in(folder: Path) -> int | None:
    """Return the process that trains a candidate for a search in ``folder``; None without one."""
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            # A new process has the words on its command line, a copy of a process its name.
            words = (process / "cmdline").read_bytes().split(b"\0")
            name = (process / "comm").read_text().strip()
            is_there = (process / "cwd").resolve() == folder.resolve()
        except OSError:  # it has ended, or is another user's
            continue
        if is_there and (name == "src.train" or b"src.train" in words):
            return int(process.name)
    return None


def validations(run: Path) -> int:
    events = EventAccumulator(str(run), size_guidance={"scalars": 0})
    events.Reload()
    return len(events.Scalars("val/top1"))


@pytest.mark.slow
def test_a_killed_search_waits_for_its_training_and_trains_no_epoch_twice(tmp_path: Path) -> None:
    process = start(tmp_path)
    # The first training has begun, and is left behind when its command is killed.
    while (training := training_in(tmp_path)) is None:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    os.kill(training, signal.SIGSTOP)  # so that it is still there when the next command starts
    process.send_signal(signal.SIGKILL)
    process.communicate()
    partial = json.loads((tmp_path / "search" / "search.json").read_text())
    assert partial["finished"] is False
    # Both forecasts, or the first one where a training is cheaper than a forecast.
    assert 1 <= len(partial["measured"]) <= 2

    process = start(tmp_path)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("waiting for another search")
        assert f"kill -CONT {training}" in line
    finally:
        os.kill(training, signal.SIGCONT)
    printed = process.communicate(timeout=1800)[0]
    record = reading.read(tmp_path / "search" / "search.json", SearchRecord, (VERSION,))
    assert record.answer is not None
    # On a machine under load one process may take all the time, and its interval is assumed.
    assert process.returncode == (0 if record.answer.satisfied else 3), printed
    assert (tmp_path / "search" / record.answer.folder).is_dir()
    for entry in record.measured:
        # One run a candidate, and one validation an epoch.
        [run] = tmp_path.glob(f"search/{entry.run}/../version_*")
        assert validations(run) == entry.rungs[-1].epoch
    assert {outcome.kind for outcome in record.outcomes} == {"judged", "dropped"}
    page = (tmp_path / "search" / "search.html").read_text()
    assert ("Ship" in page) == record.answer.satisfied
