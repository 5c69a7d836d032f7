"""Variables that change the arithmetic are dropped, those that change the speed are recorded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from src.backends.base import Unavailable
from src.backends.torch.runtime import open_device
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


EXACT = {
    "ONEDNN_DEFAULT_FPMATH_MODE": "strict",
    "DNNL_ACL_ENABLE_FAST_MATH": "0",
    "NVIDIA_TF32_OVERRIDE": "0",  # turns TF32 off
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "0",
}


def test_a_variable_that_asks_for_float32_stays_and_needs_no_note(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in EXACT.items():
        monkeypatch.setenv(name, value)
    seen: list[str | None] = []
    run_command(lambda: seen.extend(map(os.environ.get, EXACT)))
    assert seen == [*EXACT.values()]
    assert capsys.readouterr().err == ""
    (environment,) = environments_of_workers(monkeypatch)
    assert EXACT.items() <= environment.items()


def test_a_row_in_tf32_is_skipped_where_the_user_demands_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(Unavailable, match="NVIDIA_TF32_OVERRIDE=0 turns TF32 off: unset it"):
        open_device("cuda", torch.get_num_threads(), tf32=True)
    settings = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        assert open_device("cuda", torch.get_num_threads()).type == "cuda"
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = settings


def test_a_worker_computes_float32_as_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in runtime_variables.OF_PRECISION:
        monkeypatch.setenv(name, "BF16")
    monkeypatch.setenv("KMP_BLOCKTIME", "0")
    (environment,) = environments_of_workers(monkeypatch)
    assert not environment.keys() & set(runtime_variables.OF_PRECISION)
    assert environment["KMP_BLOCKTIME"] == "0"


def environments_of_workers(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, str]]:
    """The variables of a worker that would be started now."""
    started: list[Mapping[str, str]] = []

    class Recorded:
        def __init__(
            self, command: object, environment: Mapping[str, str], *_: Any, **__: Any
        ) -> None:
            started.append(environment)

    monkeypatch.setattr(process, "GuardedProcess", Recorded)
    WorkerProcess("eager", Path(), "cpu", Limits(1, 1.0, 10**9))
    return started


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("KMP_BLOCKTIME", "0", "0"),
        ("OMP_PROC_BIND", "close", "close"),
        ("ATEN_CPU_CAPABILITY", "default", "default"),
        ("LD_PRELOAD", "/home/ann/lib/libtcmalloc.so:/x/libiomp5.so", "libtcmalloc.so libiomp5.so"),
        ("MALLOC_CONF", "x" * 1000, "x" * 200),
        ("MALLOC_MMAP_THRESHOLD_", "1", "1"),
        ("MALLOC_TRIM_THRESHOLD_", "1", "1"),
        ("MALLOC_TOP_PAD_", "1", "1"),
        ("MALLOC_ARENA_MAX", "1", "1"),
        ("KMP_LIBRARY", "turnaround", "turnaround"),
        ("KMP_TPAUSE", "0", "0"),
        ("GOMP_SPINCOUNT", "0", "0"),
        ("MKL_DYNAMIC", "FALSE", "FALSE"),
        ("MKL_NUM_THREADS", "4", "4"),
        ("ONEDNN_OF_A_LATER_VERSION", "1", "1"),
    ],
)
def test_a_variable_that_changes_the_speed_is_a_part_of_the_description(
    name: str, value: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in runtime_variables.of_speed():
        monkeypatch.delenv(each)
    assert description.describe(1).variables is None
    # A preloaded library that does not exist would be told by each child, so none is started here.
    assert runtime_variables.of_speed({name: value}) == {name: shown}
    monkeypatch.setattr(runtime_variables, "of_speed", lambda: {name: shown})
    assert description.describe(1).variables == {name: shown}


@pytest.mark.parametrize(
    "name",
    ["KMP_DUPLICATE_LIB_OK", "ONEDNN_VERBOSE", "ONEDNN_DEFAULT_FPMATH_MODE", "MKLROOT", "HOME"],
)
def test_a_variable_that_changes_no_speed_is_not_recorded(name: str) -> None:
    assert runtime_variables.of_speed({name: "STRICT"}) == {}
