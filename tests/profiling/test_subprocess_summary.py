"""Summary of a trace in a subprocess: same figures, and each failure is a ValueError."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from src.profiling.subprocess_summary import summarize_in_subprocess
from src.profiling.summary import summarize
from src.profiling.trace import Trace
from tests.conftest import ROOT
from tests.profiling.test_summary import WHOLE, write


@pytest.mark.parametrize("cut", [False, True])
def test_the_subprocess_returns_the_same_summary(tmp_path: Path, cut: bool) -> None:
    path = write(tmp_path / "t.json.gz", WHOLE)
    trace = Trace.read(path)
    expected = summarize(trace.without_last_step() if cut else trace, "train")
    assert summarize_in_subprocess(path, "train", cut=cut) == expected
    assert len(expected.step_seconds) == (0 if cut else 1)


def test_a_damaged_trace_file_raises_value_error_from_the_subprocess(tmp_path: Path) -> None:
    path = write(tmp_path / "t.json.gz", WHOLE[: len(WHOLE) // 2])
    with pytest.raises(ValueError, match="not a whole gzip file"):
        summarize_in_subprocess(path, "train", cut=False)


def test_a_crashed_summary_subprocess_raises_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"exit code 1: .*KeyError"):
        summarize_in_subprocess(write(tmp_path / "t.json.gz", WHOLE), "no such stage", cut=False)


def test_a_hanging_summary_subprocess_raises_value_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(command: list[str], *, timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(ValueError, match="timed out"):
        summarize_in_subprocess(tmp_path / "t.json.gz", "train", cut=False)


def test_the_summary_subprocess_does_not_import_torch() -> None:
    # It runs after every window: importing torch would take seconds and hundreds of megabytes.
    code = "import sys, src.profiling.subprocess_summary; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_a_trace_file_that_cannot_be_read_raises_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"could not be read: .*No such file"):
        summarize_in_subprocess(tmp_path / "missing.json.gz", "train", cut=False)
