"""Bundles in fresh environments: the clocks in turn, and what makes a bundle not hold, planted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from src.errors import LightshipError, UsageError
from src.run.latency import Turn
from tests.conftest import ROOT

CALL = 0.01  # seconds of a call in the measurement
LINE = "onnx_int8 of version_0 on a CPU: holds there: no answer flips; the file is the run's."


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        import check_bundles

        yield check_bundles


@pytest.fixture(scope="module")
def clocks(script: ModuleType) -> ModuleType:
    import timed_in_turn

    return timed_in_turn


class Worker:
    closed = 0

    def close(self) -> None:
        Worker.closed += 1


class Exam:
    """An exam's process whose calls take ``factor`` times as long, more or less by ``spread``."""

    factor, spread = 1.0, 0.0
    opened = closed = 0
    asked: list[tuple[str, dict[str, Any]]]
    variables: dict[str, str]

    def __init__(self, folder: Path, python: str, variables: dict[str, str]) -> None:
        assert (folder, python) == (Path("bundle"), "other/python")
        Exam.asked, Exam.variables = [], variables
        Exam.opened += 1

    def ask(self, name: str, **request: Any) -> dict[str, Any]:
        Exam.asked.append((name, request))
        call = Exam.factor * CALL * (1 + Exam.spread * (-1) ** Exam.opened)
        seconds = [call] * 3
        times = {"seconds": seconds, "elapsed_seconds": sum(seconds), "cpu_seconds": 0.0}
        return {"warm": True} if name == "warm_up" else times

    def close(self) -> None:
        Exam.closed += 1


@pytest.fixture
def planted(script: ModuleType, clocks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    def time_batch(_: object, __: object, process: int) -> tuple[Turn, bool]:
        turn = Turn(seconds=[CALL] * 3, elapsed_seconds=3 * CALL, cpu_seconds=0, process=process)
        return turn, True

    images = np.zeros((1, 3, 8, 8), np.float32)
    data = SimpleNamespace(batches=lambda *_, **__: iter([(images, None)]))
    monkeypatch.setattr(script, "data_of", lambda _: data)
    monkeypatch.setattr(script, "opened", lambda *_: (Worker(), None))
    monkeypatch.setattr(clocks, "Process", Exam)
    monkeypatch.setattr(clocks.turn, "warm_up", lambda *_: True)
    monkeypatch.setattr(clocks.turn, "time_batch", time_batch)
    for kind in (Worker, Exam):
        monkeypatch.setattr(kind, "closed", 0)
    monkeypatch.setattr(Exam, "opened", 0)
    return script


@pytest.mark.parametrize(
    ("factor", "spread", "processes", "verdict"),
    [
        (1.0, 0.0, 8, "holds"),
        (1.01, 0.0, 8, "holds"),
        (1.05, 0.0, 8, "DIFFERS"),
        (0.9, 0.0, 8, "DIFFERS"),
        (1.0, 0.09, 16, "holds"),  # more processes until it can be told
        (1.0, 0.4, 20, "too few rounds to tell"),
    ],
)
def test_an_exam_with_another_stopwatch_is_found(
    planted: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    factor: float,
    spread: float,
    processes: int,
    verdict: str,
) -> None:
    monkeypatch.setattr(Exam, "factor", factor)
    monkeypatch.setattr(Exam, "spread", spread)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    options = planted.BenchmarkOptions(processes=20, rounds=3, threads=1)
    run: Any = None
    rounds = planted.timed(run, "onnx_int8", Path("bundle"), "other/python", options)
    measured, examined = rounds
    assert sorted(measured) == sorted(examined) == list(range(3 * processes))
    assert {turn.process for turn in examined.values()} == set(range(processes))
    assert Worker.closed == Exam.closed == processes
    assert planted.verdict_of(planted.speedup(examined, measured)) == verdict
    assert Exam.asked[0] == ("load", {"settings": {"threads": 1}})
    # The interpreter is another one: the variables of this project's are not for it.
    assert not [name for name in Exam.variables if name.startswith("PYTHON")]


def test_an_exam_that_cannot_load_its_file_leaves_no_process(
    planted: ModuleType, clocks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object, **__: object) -> None:
        raise planted.ExamError("no such file")

    monkeypatch.setattr(Exam, "ask", ask)
    with pytest.raises(planted.ExamError):
        clocks.ExamClock(Path("bundle"), "other/python", 1)
    assert Exam.closed == 1


def exam(**changes: Any) -> Any:
    """The record of an exam that holds, but for ``changes``."""
    answers = {"flips": [], "beyond_rounding": 0, "images": 64}
    answers |= {key: value for key, value in changes.items() if key in answers}
    return SimpleNamespace(
        holds=changes.get("holds", True),
        problems=changes.get("problems", []),
        answers=SimpleNamespace(**answers),
        row=SimpleNamespace(format="onnx_int8"),
        run="version_0",
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"holds": False, "problems": ["classes in another order"]}, "classes in another order"),
        ({"holds": False}, "the file is another one"),
        ({"flips": [object()]}, "1 flips, 0 beyond rounding"),
        ({"beyond_rounding": 3}, "0 flips, 3 beyond rounding"),
    ],
)
def test_an_exam_holds_on_its_own_machine_with_the_same_logits_only(
    script: ModuleType, changes: dict[str, Any], problem: str | None
) -> None:
    assert script.problem_of(exam(**changes)) == problem


@pytest.mark.parametrize(
    ("code", "printed", "problem"),
    [
        (0, f"| a table |\n- {LINE}\n", None),
        (2, "error: measurement.json: damaged", "compare: error: measurement.json: damaged"),
        (0, "| a table |", "compare: no line on the exam"),
        (
            0,
            LINE.replace("the run's", "another"),
            "compare: " + LINE.replace("the run's", "another"),
        ),
        (0, LINE.replace("holds there: no answer flips", "2 flips there"), "compare: onnx_int8 of"),
    ],
)
def test_a_comparison_has_to_take_the_exam(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    code: int,
    printed: str,
    problem: str | None,
) -> None:
    ended = subprocess.CompletedProcess([], code, printed, "")

    def compare(words: list[str], _: object) -> subprocess.CompletedProcess[str]:
        assert Path(words[-1]).is_dir()
        return ended

    monkeypatch.setattr(script, "_ended", compare)
    run = SimpleNamespace(folder=Path("run"))
    found = script.problem_of_comparison(run, exam(), Path("measurement.json"), tmp_path)
    assert (found is None) if problem is None else found.startswith(problem)


def test_an_environment_is_made_once_and_without_pytorch(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, folder = tmp_path / "bundle", tmp_path / "environments"
    bundle.mkdir()
    (bundle / script.LOCK).write_text("numpy==2.3.4\n")
    commands: list[list[str]] = []
    monkeypatch.setattr(script.environments, "uv", lambda: "uv")

    def command(words: list[str]) -> None:
        commands.append(words)
        if words[1] == "venv":
            Path(words[-1]).mkdir(parents=True)

    monkeypatch.setattr(script, "command", command)
    without = subprocess.CompletedProcess([], 1, "", "ModuleNotFoundError: torch")
    monkeypatch.setattr(script, "_ended", lambda *_: without)
    first = script.environment_of(bundle, folder, "onnx_int8")
    assert [words[1] for words in commands] == ["venv", "pip"]
    assert "--no-deps" in commands[1]
    assert script.environment_of(bundle, folder, "onnx_int8") == first
    assert len(commands) == 2
    (bundle / script.LOCK).write_text("numpy==2.3.5\n")
    assert script.environment_of(bundle, folder, "onnx_int8") != first
    assert "--extra-index-url" not in commands[-1]
    (bundle / script.LOCK).write_text("torch==2.15.0+cpu\n# a remark\n")
    script.environment_of(bundle, folder, "onnx_int8")
    index = commands[-1].index("--extra-index-url")
    assert commands[-1][index + 1] == "https://download.pytorch.org/whl/cpu"
    with_torch = subprocess.CompletedProcess([], 0, "", "")
    monkeypatch.setattr(script, "_ended", lambda *_: with_torch)
    with pytest.raises(LightshipError, match="its environment has PyTorch"):
        script.environment_of(bundle, folder, "onnx_int8")
    script.environment_of(bundle, folder, "torchscript")


def test_a_format_that_is_not_measured_or_not_bundled_is_one_line(script: ModuleType) -> None:
    rows = [
        SimpleNamespace(format=name, device="cpu", is_ok=ok)
        for name, ok in {"eager": True, "onnx_fp32": True, "onnx_int8": False}.items()
    ]
    results = SimpleNamespace(rows=rows)
    assert script.bundled(results, None) == ["onnx_fp32"]
    with pytest.raises(UsageError, match=r"--formats: expected measured formats.*found onnx_int8"):
        script.bundled(results, ["onnx_fp32", "onnx_int8"])
    rows.pop(1)
    with pytest.raises(UsageError, match="bundled: none; found none"):
        script.bundled(results, None)
