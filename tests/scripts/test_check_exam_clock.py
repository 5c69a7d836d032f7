"""The stopwatch of an exam beside that of a measurement, with planted processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from src.errors import UsageError
from src.run.latency import Turn
from tests.conftest import ROOT

CALL = 0.01  # seconds of a call in the measurement


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        import check_exam_clock

        yield check_exam_clock


class Worker:
    closed = 0

    def close(self) -> None:
        Worker.closed += 1


class Exam:
    """An exam's process whose calls take ``factor`` times as long."""

    factor = 1.0
    asked: list[tuple[str, dict[str, Any]]]
    variables: dict[str, str]

    def __init__(self, folder: Path, python: str, variables: dict[str, str]) -> None:
        assert (folder, python) == (Path("bundle"), "other/python")
        Exam.asked, Exam.variables = [], variables

    def ask(self, name: str, **request: Any) -> dict[str, Any]:
        Exam.asked.append((name, request))
        seconds = [Exam.factor * CALL] * 3
        return {"seconds": seconds, "elapsed_seconds": sum(seconds), "cpu_seconds": 0.0}

    def close(self) -> None:
        pass


@pytest.fixture
def planted(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    def time_batch(_: object, __: object, process: int) -> tuple[Turn, bool]:
        turn = Turn(seconds=[CALL] * 3, elapsed_seconds=3 * CALL, cpu_seconds=0, process=process)
        return turn, True

    images = np.zeros((1, 3, 8, 8), np.float32)
    data = SimpleNamespace(batches=lambda *_, **__: iter([(images, None)]))
    monkeypatch.setattr(script, "data_of", lambda _: data)
    monkeypatch.setattr(script, "opened", lambda *_: (Worker(), None))
    monkeypatch.setattr(script, "Process", Exam)
    monkeypatch.setattr(script.turn, "warm_up", lambda *_: True)
    monkeypatch.setattr(script.turn, "time_batch", time_batch)
    return script


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "holds"), (1.01, "holds"), (1.05, "DIFFERS"), (0.9, "DIFFERS")]
)
def test_an_exam_with_another_stopwatch_is_found(
    planted: ModuleType, monkeypatch: pytest.MonkeyPatch, factor: float, verdict: str
) -> None:
    monkeypatch.setattr(Exam, "factor", factor)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setattr(Worker, "closed", 0)
    options = planted.BenchmarkOptions(processes=4, rounds=3, threads=1)
    run: Any = None
    rounds = planted.time_in_turn(run, "onnx_int8", Path("bundle"), "other/python", options)
    measured, examined = rounds
    assert sorted(measured) == sorted(examined) == list(range(12))
    assert {turn.process for turn in examined.values()} == {0, 1, 2, 3}
    assert Worker.closed == 4
    assert planted.verdict_of(planted.speedup(examined, measured)) == verdict
    assert Exam.asked[0] == ("load", {"settings": {"threads": 1}})
    # The interpreter is another one: the variables of this project's are not for it.
    assert not [name for name in Exam.variables if name.startswith("PYTHON")]


def test_a_folder_that_is_no_bundle_is_one_line(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = SimpleNamespace(read_manifest=lambda: None)
    monkeypatch.setattr(script.Run, "open", lambda _: run)
    for name in ("require_exported", "require_known"):
        monkeypatch.setattr(script, name, lambda *_: None)
    monkeypatch.setattr("sys.argv", ["check_exam_clock.py", "run", "onnx_int8", str(tmp_path)])
    with pytest.raises(UsageError, match="BUNDLE: expected the folder of an unpacked bundle"):
        script.main()
