"""A bundle describes a machine in the words of the report, so that both name one testbed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.benchmark.environment.interference import Observation
from src.run.layout import as_dict
from src.shipped import machine as shipped
from src.system import machine
from tests.support import fake_machines


@pytest.fixture(autouse=True)
def _no_caches() -> Iterator[None]:
    fake_machines.clear_caches()
    yield
    fake_machines.clear_caches()


def test_this_machine_is_described_alike() -> None:
    assert shipped.cpu_model() == machine.cpu_model()
    assert shipped.instruction_sets() == machine.instruction_sets()
    assert shipped.core_numbers() == machine.usable_core_numbers()
    assert shipped.describe(2)["threads"] == 2
    peak, known = shipped.peak_rss_bytes(), machine.peak_rss_bytes()
    assert peak is not None
    assert abs(peak - known) < 50e6


def plant(fake: fake_machines.Machine, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Let both copies read the files of ``fake``; return the cgroups' folder."""
    point = fake_machines.patch_machine(fake, folder, patch)
    (folder / "sys" / "fs").mkdir(parents=True)
    (folder / "sys" / "fs" / "cgroup").symlink_to(point)
    patch.setattr(shipped, "ROOT", folder)
    return point


@pytest.mark.parametrize("name", fake_machines.MACHINES)
def test_every_machine_is_described_alike(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = plant(fake_machines.MACHINES[name], tmp_path, monkeypatch)
    if name == "cgroup v1":
        (point / "cpu").symlink_to(point)  # the usual place of its mount
    assert shipped.cpu_model() == machine.cpu_model()
    assert shipped.instruction_sets() == machine.instruction_sets()
    assert shipped.usable_cores() == machine.usable_cores()


def test_a_quota_of_version_1_limits_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sys" / "fs" / "cgroup" / "cpu"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text("250000\n")
    (folder / "cpu.cfs_period_us").write_text("100000\n")
    monkeypatch.setattr(shipped, "ROOT", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert shipped.usable_cores() == 3


NESTED = {
    "a service of systemd": (
        "0::/system.slice/model.service\n",
        {"system.slice/model.service/cpu.max": "200000 100000"},
        2,
    ),
    "a limit of the slice that a service is in": (
        "0::/system.slice/model.service\n",
        {
            "system.slice/cpu.max": "150000 100000",
            "system.slice/model.service/cpu.max": "max 100000",
        },
        2,
    ),
    "the tightest of all": (
        "0::/a/b\n",
        {"cpu.max": "700000 100000", "a/cpu.max": "300000 100000", "a/b/cpu.max": "500000 100000"},
        3,
    ),
    "a container without a namespace, version 1": (
        "12:memory:/docker/1f3c\n4:cpu,cpuacct:/docker/1f3c\n0::/docker/1f3c\n",
        {
            "cpu/docker/1f3c/cpu.cfs_quota_us": "400000",
            "cpu/docker/1f3c/cpu.cfs_period_us": "100000",
        },
        4,
    ),
    "a container that sees its own group only": (
        "0::/../../docker/1f3c\n",
        {"cpu.max": "250000 100000"},
        3,
    ),
    "a group of the same path below the one that a container sees": (
        "0::/../../docker/1f3c\n",
        {"cpu.max": "250000 100000", "docker/1f3c/cpu.max": "100000 100000"},
        3,
    ),
    "the same, version 1": (
        "4:cpu,cpuacct:/../1f3c\n",
        {
            "cpu/cpu.cfs_quota_us": "250000",
            "cpu/cpu.cfs_period_us": "100000",
            "cpu/1f3c/cpu.cfs_quota_us": "100000",
            "cpu/1f3c/cpu.cfs_period_us": "100000",
        },
        3,
    ),
    "a quota of no limit, version 1": (
        "4:cpu,cpuacct:/docker/1f3c\n",
        {
            "cpu/docker/1f3c/cpu.cfs_quota_us": "-1",
            "cpu/docker/1f3c/cpu.cfs_period_us": "100000",
        },
        8,
    ),
    "lines of another form": ("nonsense\n::\n0::\n", {}, 8),
}


@pytest.mark.parametrize("name", NESTED)
def test_the_tightest_group_around_this_process_limits_the_cores(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, limits, cores = NESTED[name]
    version_1 = fake_machines.V1.replace("{point}", "{point}/cpu")
    mounts = fake_machines.V2 + version_1.replace("{controllers}", "cpu,cpuacct")
    fake = fake_machines.Machine(own=own, mounts=mounts, limits=limits)
    plant(fake, tmp_path, monkeypatch)
    assert shipped.usable_cores() == machine.usable_cores() == cores


def test_the_load_by_others_is_counted_as_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc").mkdir()
    texts = [f"cpu  1\ncpu0 {base} 1 2 3 4 5 6 {base // 2} 8 9\n" for base in (100, 300)]
    monkeypatch.setattr(shipped, "ROOT", tmp_path)
    monkeypatch.setattr(shipped, "core_numbers", lambda: {0})
    counted = []
    for text in texts:
        (tmp_path / "proc" / "stat").write_text(text)
        found = shipped.Observation.now()
        assert found is not None
        counted.append(found)
    ours = [Observation.parse(text, {0}, 0.0) for text in texts]
    for one, other in zip(counted, ours, strict=True):
        assert (one.busy, one.steal, one.cores) == (other.busy, other.steal, other.cores)
    before, after = (one._replace(at=float(at)) for one, at in zip(counted, (0, 10), strict=True))
    for threads in (None, 1, 4):
        expected = ours[0].until(Observation(10.0, ours[1].busy, ours[1].steal, 1), 0.5, threads)
        assert before.until(after, 0.5, threads)._asdict() == as_dict(expected)
