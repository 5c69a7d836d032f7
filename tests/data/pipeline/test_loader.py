"""Processes that load images end with their command, and print nothing when it is stopped."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import time
from pathlib import Path

import pytest

from src.cli.entry_point import run_command
from src.data.datasets.digits import Digits
from src.system.signals import STOPPING
from tests.conftest import ROOT

_SECONDS = 60
_SECONDS_AT_EXIT = 20  # less than the grace after which a worker ends by itself


def read_batches(folder: Path) -> None:
    """Read the test split again and again in a process group, until a signal stops it."""
    os.setsid()
    with (folder / "stderr").open("w") as stderr:
        os.dup2(stderr.fileno(), 2)

    def command() -> None:
        data = Digits(image_size=16, num_workers=2)
        while True:
            for _ in data.batches("test", batch_size=1):
                (folder / "ready").touch()

    run_command(command)


@pytest.mark.usefixtures("reacts_to_hang_up")
@pytest.mark.parametrize("number", STOPPING)
def test_a_signal_to_the_process_group_of_a_command_ends_it_with_one_line(
    number: signal.Signals, tmp_path: Path
) -> None:
    process = multiprocessing.get_context("fork").Process(target=read_batches, args=(tmp_path,))
    process.start()
    assert process.pid is not None
    try:
        until = time.monotonic() + _SECONDS
        while not (tmp_path / "ready").exists():
            assert time.monotonic() < until
            time.sleep(0.01)
        os.killpg(process.pid, number)
        process.join(_SECONDS_AT_EXIT)
        printed = (tmp_path / "stderr").read_text()
        assert process.exitcode == 128 + number, printed
        assert "Traceback" not in printed
        assert [line for line in printed.splitlines() if "stopped by" in line] == (
            printed.splitlines()
        )
    finally:
        process.kill()
        process.join()


def test_all_loaders_of_images_are_made_by_one_function() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")}
    callers = [
        path.relative_to(ROOT / "src").as_posix()
        for path, text in texts.items()
        if re.search(r"\bDataLoader\(", text)
    ]
    assert callers == []
