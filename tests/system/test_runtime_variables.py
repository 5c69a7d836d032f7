"""Variables that change the arithmetic are dropped, those that change the speed are recorded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from src.benchmark.environment import description
from src.cli.entry_point import run_command
from src.system import runtime_variables
from src.worker import process
from src.worker.guarded_process import Limits
from src.worker.process import WorkerProcess


@pytest.mark.parametrize("name", runtime_variables.OF_PRECISION)
def test_a_command_computes_float32_as_float32(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "ANY")
    seen = []
    run_command(lambda: seen.append(os.environ.get(name)))
    assert seen == [None]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"note: {name}='ANY' is ignored: float32 would be computed in another")


def test_a_variable_that_asks_for_float32_needs_no_note(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "strict")
    monkeypatch.setenv("DNNL_ACL_ENABLE_FAST_MATH", "0")
    run_command(lambda: None)
    assert capsys.readouterr().err == ""


def test_a_worker_computes_float32_as_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Mapping[str, str]] = []

    class Recorded:
        def __init__(
            self, command: object, environment: Mapping[str, str], *_: Any, **__: Any
        ) -> None:
            started.append(environment)

    monkeypatch.setattr(process, "GuardedProcess", Recorded)
    for name in runtime_variables.OF_PRECISION:
        monkeypatch.setenv(name, "BF16")
    monkeypatch.setenv("KMP_BLOCKTIME", "0")
    WorkerProcess("eager", Path(), "cpu", Limits(1, 1.0, 10**9))
    (environment,) = started
    assert not environment.keys() & set(runtime_variables.OF_PRECISION)
    assert environment["KMP_BLOCKTIME"] == "0"


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("KMP_BLOCKTIME", "0", "0"),
        ("OMP_PROC_BIND", "close", "close"),
        ("ATEN_CPU_CAPABILITY", "default", "default"),
        ("LD_PRELOAD", "/home/ann/lib/libtcmalloc.so:/x/libiomp5.so", "libtcmalloc.so libiomp5.so"),
        ("MALLOC_CONF", "x" * 1000, "x" * 200),
    ],
)
def test_a_variable_that_changes_the_speed_is_a_part_of_the_description(
    name: str, value: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in runtime_variables.OF_SPEED:
        monkeypatch.delenv(each, raising=False)
    assert description.describe(1).variables is None
    # A preloaded library that does not exist would be told by each child, so none is started here.
    assert runtime_variables.of_speed({name: value}) == {name: shown}
    monkeypatch.setattr(runtime_variables, "of_speed", lambda: {name: shown})
    assert description.describe(1).variables == {name: shown}
