"""The load test of a real file, in real processes: its record, its end and its mistakes."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from src.cli.stage_command import parse
from src.errors import UsageError
from src.run import fingerprint
from src.run.folder import Run
from src.serve_test.options import ServeTestOptions
from src.serve_test.stage import DEFAULT_LIMIT, serve_test

WORDS = ("format=onnx_fp32", "windows=[0,0.002]", "largest_batch=4", "runs=1", "samples=662")


def ignore(phase: str, detail: str = "", done: int = 0, total: int = 0) -> None:
    """Show no progress."""


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> Run:
    folder = tmp_path / "version_0"
    shutil.copytree(run.folder, folder)
    return Run(folder)


def options(run: Run, monkeypatch: pytest.MonkeyPatch, *words: str) -> ServeTestOptions:
    monkeypatch.setattr(sys, "argv", ["serve_test", str(run.folder), *WORDS, *words])
    return parse("serve_test", None, ServeTestOptions)[1]


def test_a_real_file_is_put_under_load_and_its_record_can_be_gone_on_with(
    copy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    affinity = os.sched_getaffinity(0)
    record = serve_test(copy, options(copy, monkeypatch, "max_seconds=4"), "a command", ignore)
    assert os.sched_getaffinity(0) == affinity
    assert record == copy.read_serve_test()
    assert record.is_of(
        "onnx_fp32", fingerprint.of(copy.read_manifest().formats["onnx_fp32"].files)
    )
    plain, *_ = record.configurations
    assert plain.call_s is not None
    assert record.p99_limit_s == pytest.approx(DEFAULT_LIMIT * plain.call_s)
    probes = [probe for each in record.configurations for probe in each.probes]
    assert probes, "in four seconds"
    for probe in probes:
        assert len(probe.latencies_s) <= 728
        assert min(probe.latencies_s) > plain.call_s / 10
        assert sum(int(size) * count for size, count in probe.batches.items()) <= 728
    # With the same limit of time there is none left, so nothing is measured again.
    known = [probe for probe in probes if probe.verdict != "lagged"]
    again = serve_test(copy, options(copy, monkeypatch, "max_seconds=0.01"), "a command", ignore)
    kept = [probe for each in again.configurations for probe in each.probes]
    assert kept == known
    assert again.p99_limit_s == record.p99_limit_s


@pytest.mark.parametrize(
    "words",
    [
        ("format=onnx_fp64",),
        ("samples=100",),
        ("windows=[]",),
        ("windows=[-1]",),
        ("windows=[0.001,0.001]",),
        ("threads=[0]",),
        ("p99_limit=0",),
        ("runs=0",),
        ("largest_batch=1",),
        ("windows=[5]", "p99_limit=0.5"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_measured(
    copy: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as refused:
        serve_test(copy, options(copy, monkeypatch, *words), "a command", ignore)
    assert "\n" not in str(refused.value)
    assert words[0].partition("=")[0] in str(refused.value)
    assert not copy.serve_test.exists()
