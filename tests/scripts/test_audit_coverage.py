"""The audit's own arithmetic: what it says of intervals whose worth is known."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.benchmark.statistics.latency import speedup, summarize
from src.run.latency import Turn
from src.run.layout import as_dict
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import audit_coverage
from audit_coverage import Coverage, Sessions, observed, of_intervals, simulated

PROCESSES, ROUNDS = 5, 3


@pytest.mark.parametrize(
    ("held", "count", "low", "high"),
    [  # Clopper & Pearson's, as R's binom.test gives them
        (19, 20, 0.7513, 0.9987),
        (20, 20, 0.8316, 1.0),
        (0, 20, 0.0, 0.1684),
        (95, 100, 0.8872, 0.9836),
        (285, 300, 0.9189, 0.9717),
    ],
)
def test_a_coverage_has_an_interval_of_its_own(
    held: int, count: int, low: float, high: float
) -> None:
    assert Coverage(held, count).interval == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("held", "count", "as_said"), [(19, 20, True), (16, 20, False), (300, 300, False)]
)
def test_it_says_whether_intervals_may_well_be_what_they_say(
    held: int, count: int, as_said: bool
) -> None:
    assert Coverage(held, count).is_as_said() is as_said


def session(generator: np.random.Generator, spread: float) -> dict[int, Turn]:
    speeds = np.exp(generator.normal(0, spread, PROCESSES))
    return {
        number: Turn(
            seconds=[float(speed * noise)] * 3,
            elapsed_seconds=float(speed),
            cpu_seconds=float(speed),
            process=number // ROUNDS,
        )
        for number, speed, noise in zip(
            range(PROCESSES * ROUNDS),
            np.repeat(speeds, ROUNDS),
            np.exp(generator.normal(0, 0.01, PROCESSES * ROUNDS)),
            strict=True,
        )
    }


def cells(count: int, spread: float) -> list[tuple[dict[str, object], dict[str, object]]]:
    """The cells of sessions of one file under two names."""
    generator = np.random.default_rng(1)
    found = []
    for _ in range(count):
        one, twin = session(generator, spread), session(generator, spread)
        interval = speedup(one, twin)
        assert interval
        found.append((as_dict(summarize(1, one)), as_dict(summarize(1, twin, speedup=interval))))
    return found


def test_what_two_rows_gave_is_apart_by_their_processes() -> None:
    [(cell, twin)] = cells(1, 0.1)
    pairs = observed(cell, twin)
    assert [len(pair) for pair in pairs] == [ROUNDS] * PROCESSES
    assert sum(len(pair) for pair in pairs) == cell["rounds"]
    alone = {**twin, "process_of_round": dict.fromkeys(cell["seconds"], 0)}
    assert len(observed(cell, alone)) == 1


def test_measurements_that_are_put_together_are_covered_as_often_as_intervals_say() -> None:
    pool = [pair for each in cells(20, 0.1) for pair in observed(*each)]
    assert len(pool) == 20 * PROCESSES
    assert simulated(pool, PROCESSES, 200).is_as_said()
    with pytest.raises(ValueError, match="4 pairs of processes are too few for 5"):
        simulated(pool[:4], PROCESSES, 1)


def test_the_audit_tells_intervals_of_loads_from_intervals_of_processes() -> None:
    good = cells(20, 0.1)
    # As if each round were a process: what was done when a process loaded its file again.
    narrow = []
    for one, twin in good:
        apart = [
            {**cell, "process_of_round": {number: int(number) for number in cell["seconds"]}}
            for cell in (one, twin)
        ]
        interval = speedup(*(audit_coverage.rounds_of(cell) for cell in apart))
        assert interval
        narrow.append((apart[0], {**apart[1], "speedup": as_dict(interval)}))
    for measured, met in ((good, True), (narrow, False)):
        checks = list(audit_coverage.held("a file", measured, 200))
        assert [check[-1] for check in checks[:1]] == [met]
    assert str(of_intervals([{"low": 0.9, "high": 1.1}, {"low": 1.01, "high": 1.1}])).startswith(
        "1 of 2: 0.500 [0.013, 0.987]"
    )


def test_a_row_that_failed_ends_the_audit_with_its_reason() -> None:
    row = {"format": "eager", "status": "failed", "reason": "no answer", "latency": []}
    with pytest.raises(RuntimeError, match=r"eager: failed \(no answer\)"):
        audit_coverage.cells_of(row)
    assert audit_coverage.cells_of({**row, "status": "ok", "latency": [{}]}) == [{}]


def test_sessions_are_kept_and_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    first = Sessions(path)
    first.add("eager", {"eager": [{"batch_size": 1}]})
    first.add("onnx_fp32", {"onnx_fp32": [{"batch_size": 8}]})
    again = Sessions(path)
    assert again.of("eager") == first.of("eager") == [{"eager": [{"batch_size": 1}]}]
    assert again.of("another") == []


HERE = {"run": "abc", "machine": {"cpu": "A", "threads": 2}, "options": [{"rounds": 3}]}


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ({**HERE, "run": "def"}, "with run def; found abc"),
        ({**HERE, "machine": {"cpu": "B", "threads": 2}}, "with machine cpu B; found A"),
        ({**HERE, "machine": {"cpu": "A"}}, "with machine threads None; found 2"),
        ({**HERE, "options": []}, r"with options \[\]; found \[{'rounds': 3}\]"),
        ({}, "with run None; found abc"),
    ],
)
def test_sessions_of_other_circumstances_are_refused(
    there: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "sessions.jsonl"
    Sessions(path, HERE).add("eager", {"eager": []})
    assert Sessions(path, HERE).of("eager") == [{"eager": []}]
    with pytest.raises(SystemExit, match=f"^error: --keep: expected sessions {message} in "):
        Sessions(path, there)


def test_sessions_of_unknown_circumstances_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sessions.jsonl"
    path.write_text('{"file": "eager", "cells": {"eager": []}}\n')
    with pytest.raises(SystemExit, match=r"expected sessions with run abc; found None in "):
        Sessions(path, HERE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--only", "aa,nonsense"],
            "--only: expected names among aa, pipeline, load, .*; found nons",
        ),
        (["--only", ""], "--only: expected names among .*; found nothing"),
        (["--files", "onnx"], "--files: expected names among eager, onnx_fp32; found onnx"),
        (["--sessions", "0"], "--sessions: expected 1 or more, found 0"),
        (["--simulated", "-1"], "--simulated: expected 1 or more, found -1"),
    ],
)
def test_a_mistake_in_the_options_of_the_audit_is_one_line(
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import audit_benchmark

    monkeypatch.setattr(sys, "argv", ["audit_benchmark.py", "RUN", *words])
    with pytest.raises(SystemExit) as ended:
        audit_benchmark.main()
    assert ended.value.code == 2
    assert re.search(f"error: argument {message}", capsys.readouterr().err)
