from __future__ import annotations

import os
from pathlib import Path

import pytest

from src import machine


def test_cores_respect_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    monkeypatch.setattr(machine, "_CGROUP_QUOTA", Path("/nowhere"))
    assert machine.usable_cores() == 3


@pytest.mark.parametrize(
    ("content", "cores"),
    [("max 100000", 8), ("150000 100000", 2), ("50000 100000", 1), ("nonsense", 8)],
)
def test_cores_respect_the_containers_quota(
    content: str, cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(content)
    monkeypatch.setattr(machine, "_CGROUP_QUOTA", quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert machine.usable_cores() == cores


def test_instruction_sets_are_read_from_the_kernels_flags(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ("model name\t: Some CPU @ 3 GHz", "flags\t\t: fpu avx2 avx512f avx512_vnni")
    monkeypatch.setattr(machine, "_cpuinfo", lambda: lines)
    machine.cpu_model.cache_clear()
    machine.instruction_sets.cache_clear()
    try:
        assert machine.cpu_model() == "Some CPU @ 3 GHz"
        assert machine.instruction_sets() == ("AVX2", "AVX-512", "AVX-512 VNNI")
        assert machine.has_int8_dot_product()
        assert not machine.has_bfloat16()
    finally:
        machine.cpu_model.cache_clear()
        machine.instruction_sets.cache_clear()


@pytest.mark.parametrize(("file", "found"), [("nvidiactl", True), ("dxg", True), ("sda", False)])
def test_a_gpu_without_its_drivers_device_is_not_looked_for(
    file: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / file).touch()
    monkeypatch.setattr(machine, "_DEVICES", tmp_path)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert machine.may_have_gpu() is found
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert machine.may_have_gpu()


def test_a_container_without_limits_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_CGROUP_QUOTA", "_CGROUP_MEMORY"):
        (tmp_path / name).write_text("max 100000" if name == "_CGROUP_QUOTA" else "max")
        monkeypatch.setattr(machine, name, tmp_path / name)
    assert machine.container_cores() is machine.container_memory_bytes() is None
    (tmp_path / "_CGROUP_QUOTA").write_text("150000 100000")
    (tmp_path / "_CGROUP_MEMORY").write_text("4096")
    assert machine.container_cores() == 1.5
    assert machine.memory_bytes() == machine.container_memory_bytes() == 4096
