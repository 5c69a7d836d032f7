"""A run's files under another version of their runtime: speed and answers, side by side."""

from __future__ import annotations

import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from src.benchmark import other_version
from src.benchmark.other_version import VersionOptions, compare_versions, speed_outcome
from src.benchmark.schedule import Schedule
from src.cli.commands import benchmark
from src.cli.commands.other_version import require_no_regression
from src.errors import LightshipError, UsageError
from src.export.stage import PROBE
from src.report.sections.versions import sentences
from src.run import version_comparison
from src.run.folder import Run
from src.run.latency import Interval
from src.run.layout import as_dict
from src.run.reading import convert
from src.run.version_comparison import VersionComparison
from src.system import atomic_files, environments
from src.system.environments import Environment
from tests.benchmark.planted_formats import Data, only, silent, taken
from tests.report.planted import results

HERE = importlib.metadata.version("numpy")
OPTIONS = VersionOptions(
    other_version="numpy==0.1",
    threads=1,
    processes=2,
    rounds=4,
    samples=5,
    warmup_seconds=0.01,
    timeout_seconds=15,
)


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    """Give the processes of the other version an interpreter that the planted formats notice."""
    python = tmp_path / "python"
    # A user's PYTHONPATH does not reach another version, but the planted formats have to.
    planted = f'PLANTED_VERSION=0.1 PYTHONPATH="{os.environ["PYTHONPATH"]}"'
    python.write_text(f'#!/bin/sh\n{planted} exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    made = Environment(python, {"numpy": "0.1"})
    monkeypatch.setattr(environments, "made", lambda *_: made)


@pytest.mark.usefixtures("other")
def test_a_version_that_is_slower_or_answers_otherwise_is_found(run: Run) -> None:
    only(run, "eager", "other-answers", "other-speed", "other-crash")
    comparison = compare_versions(run, Data(), OPTIONS, silent)
    assert version_comparison.read(run.versions / "numpy-0.1.json") == comparison
    assert (comparison.here, comparison.there, comparison.images) == (HERE, "0.1", 50)
    same, answers, speed, crash = comparison.files
    assert (same.answers_outcome, same.verdict, same.changed) == ("ok", "same", 0)
    assert (answers.answers_outcome, answers.changed) == ("regressed", 50)
    assert (speed.speed_outcome, speed.answers_outcome) == ("regressed", "ok")
    assert speed.speed is not None
    assert speed.speed.high < 0.5
    assert crash.status == "failed"
    assert crash.reason is not None
    assert crash.reason.startswith("the other version: the worker process ended with SIGABRT")
    with pytest.raises(LightshipError, match=r"of 4 files regressed under numpy 0\.1: .*other-"):
        require_no_regression(comparison, strict=False)
    told = [*sentences(comparison)]
    assert told[1].startswith("regressed: other-answers under numpy 0.1: ")
    assert "50 of 50 answers change" in told[1]
    assert "(slower by more than 5%)" in told[2]
    assert told[3].startswith("failed: other-crash under numpy 0.1: failed (the other version: ")


@pytest.mark.usefixtures("other")
def test_both_versions_of_each_file_are_timed_until_their_ratio_is_precise(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(run, "eager", "other-speed")
    schedules: list[list[tuple[Any, Any]]] = []

    class Spied(Schedule):
        def __init__(self, rows: Any, *given: Any, pairs: Any) -> None:
            super().__init__(rows, *given, pairs=pairs)
            schedules.append([*pairs])

    monkeypatch.setattr(other_version, "Schedule", Spied)
    compare_versions(run, Data(), OPTIONS, silent)
    [pairs] = schedules
    assert [(there.name, here.name) for there, here in pairs] == [
        ("eager", "eager"),
        ("other-speed", "other-speed"),
    ]
    assert all(there.python and there is not here for there, here in pairs)


def compared(**changes: Any) -> VersionComparison:
    """A comparison of two files under numpy 0.1, of which the first runs well."""
    well = {"format": "eager", "status": "ok", "speed_outcome": "ok", "answers_outcome": "ok"}
    content = {
        "schema_version": 1,
        "package": "numpy",
        "here": "0.2",
        "there": "0.1",
        "packages": {},
        "environment": results()["environment"],
        "measured_at": "2026-01-02T03:04:05+00:00",
        "measured_seconds": 1.0,
        "images": 5,
        "max_slowdown": 0.05,
        "max_accuracy_drop": 0.01,
        "files": [well, {**well, "format": "onnx", **changes}],
    }
    return convert(content, VersionComparison)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({}, None),
        ({"answers_outcome": "inconclusive"}, None),
        ({"answers_outcome": "regressed"}, "1 of 2 files regressed under numpy 0.1: onnx"),
        ({"speed_outcome": "regressed"}, "1 of 2 files regressed under numpy 0.1: onnx"),
        ({"status": "failed"}, "1 of 2 files regressed under numpy 0.1: onnx"),
        ({"status": "skipped"}, "1 of 2 files regressed under numpy 0.1: onnx"),
        (
            {"status": "failed", "runs_here": False},
            "1 of 2 files do not run under the installed numpy 0.2, so nothing is known: onnx",
        ),
    ],
)
def test_the_exit_code_tells_which_version_is_at_fault(
    changes: dict[str, Any], error: str | None
) -> None:
    if error is None:
        require_no_regression(compared(**changes), strict=False)
        return
    for strict in (False, True):
        with pytest.raises(LightshipError) as raised:
            require_no_regression(compared(**changes), strict=strict)
        assert str(raised.value) == error


@pytest.mark.parametrize(
    "changes",
    [
        {"answers_outcome": "inconclusive"},
        {"speed_outcome": "inconclusive"},
        {"speed_outcome": None},
    ],
)
def test_what_cannot_be_told_fails_if_it_is_asked_to(changes: dict[str, Any]) -> None:
    require_no_regression(compared(**changes), strict=False)
    with pytest.raises(LightshipError, match=r"^strict: 1 of 2 files cannot be told .*: onnx; "):
        require_no_regression(compared(**changes), strict=True)
    require_no_regression(compared(), strict=True)


@pytest.mark.parametrize("words", [["run", "--with"], ["--with", "--help-me"]])
def test_a_version_that_is_not_named_is_asked_for(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    with pytest.raises(UsageError, match=r"^--with: expected a package and a version; found"):
        benchmark.main()


@pytest.mark.parametrize(
    ("text", "numpy_1"),
    [
        ("onnxruntime==1.7.0", True),
        ("onnxruntime==1.18.1", True),
        ("onnxruntime==1.19.0", False),
        ("onnxruntime==1.30.0", False),
        ("openvino==2023.1.0", False),
    ],
)
def test_a_runtime_that_was_built_for_numpy_1_gets_it(text: str, numpy_1: bool) -> None:
    beside = other_version.packages_beside(environments.parse("--with", text))
    assert beside["numpy"].startswith("1.") is numpy_1
    assert beside["msgspec"] == importlib.metadata.version("msgspec")


@pytest.mark.parametrize("version", ["1.17.x", "1..2", "1.0+", "1a!"])
def test_a_version_that_is_none_is_refused(version: str) -> None:
    with pytest.raises(UsageError, match="--with: expected a package and one version of it"):
        environments.parse("--with", f"onnxruntime=={version}")


@pytest.mark.usefixtures("other")
def test_reference_outputs_that_were_changed_are_refused_for_a_comparison_too(run: Run) -> None:
    only(run, "eager")
    manifest = as_dict(run.read_manifest())
    manifest["probe_files"] = taken(run.exports, PROBE)
    atomic_files.write_json(run.manifest, manifest)
    (run.exports / PROBE).write_bytes(b"another")
    with pytest.raises(UsageError, match="expected the images and logits that the export wrote"):
        compare_versions(run, Data(), OPTIONS, silent)


@pytest.mark.usefixtures("other")
def test_only_files_that_run_with_the_package_are_compared(run: Run) -> None:
    only(run, "eager", "talking")
    for options, place in (
        (VersionOptions(other_version="onnx==1.0"), "--with: expected an exported format"),
        (
            VersionOptions(other_version="numpy==0.1", formats=["talking", "none"]),
            "formats: expected an exported format that runs on a CPU with numpy: eager, talking; "
            "found none",
        ),
    ):
        with pytest.raises(UsageError, match=place):
            compare_versions(run, Data(), options, silent)


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.97, 1.02, "ok"),
        (1.5, 1.6, "ok"),
        (0.80, 0.94, "regressed"),
        (0.94, 1.02, "inconclusive"),
        (0.2, 4.0, "inconclusive"),
    ],
)
def test_a_version_is_slower_if_its_whole_interval_is(
    low: float, high: float, outcome: str
) -> None:
    speed = Interval(value=(low * high) ** 0.5, low=low, high=high, processes=5)
    assert speed_outcome(speed, 0.05) == outcome
    assert speed_outcome(None, 0.05) == "inconclusive"
