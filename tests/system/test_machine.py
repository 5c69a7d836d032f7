"""Detection of the processor and its limits on :mod:`tests.support.fake_machines`."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from src.system import cgroup, machine
from tests.support import fake_machines
from tests.support.fake_machines import ARM, MACOS, V1, V2, Machine, PatchMachine


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PatchMachine]:
    fake_machines.clear_caches()
    yield lambda simulated: fake_machines.patch_machine(simulated, tmp_path, monkeypatch)
    fake_machines.clear_caches()


def test_cores_respect_affinity(plant: PatchMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(Machine())
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert machine.usable_cores() == 3


@pytest.mark.parametrize(
    ("content", "quota", "cores"),
    [
        ("max 100000", None, 8),
        ("150000 100000", 1.5, 2),
        ("50000 100000", 0.5, 1),
        ("1000 1000000", 0.001, 1),
        ("200000", 2.0, 2),
        ("1600000 100000", 16.0, 8),  # more than the machine has
        ("0 100000", None, 8),
        ("100000 0", None, 8),
        ("-1 100000", None, 8),
        ("nonsense", None, 8),
        ("", None, 8),
    ],
)
def test_cores_respect_the_containers_quota_rounded_up(
    content: str, quota: float | None, cores: int, plant: PatchMachine
) -> None:
    plant(Machine(limits={"cpu.max": content}))
    assert machine.container_cores() == quota
    assert machine.usable_cores() == cores


GROUPS = {
    "the process's own group": (
        {"a/b/cpu.max": "300000 100000", "a/b/memory.max": "3000"},
        3,
        3000,
    ),
    "its parent": ({"a/cpu.max": "200000 100000", "a/memory.max": "2000"}, 2, 2000),
    "the tighter of two": (
        {
            "a/b/cpu.max": "500000 100000",
            "a/b/memory.max": "max",
            "a/cpu.max": "400000 100000",
            "cpu.max": "600000 100000",
            "a/memory.max": "7000",
            "memory.max": "6000",
        },
        4,
        6000,
    ),
    "no other process's group": ({"c/cpu.max": "100000 100000", "c/memory.max": "1"}, None, None),
}


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("version", ["v2", "v1"])
def test_the_tightest_cgroup_limit_counts(name: str, version: str, plant: PatchMachine) -> None:
    limits, cores, memory = GROUPS[name]
    if version == "v2":
        plant(Machine(own="0::/a/b\n", limits=limits))
    else:
        older = {}
        for path, content in limits.items():
            place, _, file = path.rpartition("cpu.max")
            if file == "" and place != path:
                quota, _, period = content.partition(" ")
                older[f"{place}cpu.cfs_quota_us"] = quota
                older[f"{place}cpu.cfs_period_us"] = period
            else:
                value = "9223372036854771712" if content == "max" else content
                older[path.replace("memory.max", "memory.limit_in_bytes")] = value
        own = "9:name=systemd:/\n4:cpu,cpuacct:/a/b\n3:memory:/a/b\n0::/c\n"
        plant(Machine(own=own, mounts=V1.replace("{controllers}", "cpu,memory"), limits=older))
    assert machine.container_cores() == cores
    assert machine.container_memory_bytes() == memory


def test_a_cgroup_path_of_the_host_falls_back_to_the_containers_own_group(
    plant: PatchMachine, tmp_path: Path
) -> None:
    plant(Machine(own="0::/docker/1f3c/job\n", limits={"job/cpu.max": "100000 100000"}))
    cgroup._MOUNTS.write_text(V2.format(root="/docker/1f3c", point=tmp_path / "cgroup"))
    assert machine.container_cores() == 1
    cgroup._OWN.write_text("0::/../../elsewhere\n")  # outside the container's mount
    (tmp_path / "cgroup" / "cpu.max").write_text("200000 100000")
    assert machine.container_cores() == 2


def test_a_cgroup_hierarchy_is_found_at_its_mount_point(
    plant: PatchMachine, tmp_path: Path
) -> None:
    plant(Machine())
    place = tmp_path / "my groups"
    place.mkdir()
    (place / "memory.max").write_text("5000")
    hybrid = V1.format(root="/", point="/nowhere", controllers="cpuset,blkio")
    mounts = hybrid + V2.format(root="/", point=str(place).replace(" ", r"\040"))
    cgroup._MOUNTS.write_text("23 1 8:1 / / rw - ext4 /dev/sda1 rw\ncut off\n" + mounts)
    assert machine.container_memory_bytes() == machine.memory_bytes() == 5000


def test_without_mountinfo_the_usual_cgroup_folder_is_read(plant: PatchMachine) -> None:
    plant(Machine(None, limits={"cpu.max": "100000 100000", "memory/memory.limit_in_bytes": "9"}))
    assert machine.container_cores() == 1
    assert machine.container_memory_bytes() == 9


def test_a_container_without_limits_has_none(plant: PatchMachine) -> None:
    plant(Machine(limits={"cpu.max": "max 100000", "memory.max": "max"}))
    assert machine.container_cores() is machine.container_memory_bytes() is None
    assert machine.memory_bytes() == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_instruction_sets_are_read_from_the_kernels_flags(plant: PatchMachine) -> None:
    plant(Machine())
    assert machine.cpu_model() == "Some CPU @ 3 GHz"
    assert machine.instruction_sets() == ("AVX2", "AVX-512", "AVX-512 VNNI")
    assert machine.has_int8_dot_product()
    assert not machine.has_bfloat16()
    assert machine.is_virtual() is True


def test_an_arm_processor_is_described_by_its_part_numbers(plant: PatchMachine) -> None:
    plant(Machine(ARM))
    assert machine.cpu_model().endswith(", implementer 0x41, part 0xd40")
    assert machine.instruction_sets() == ("NEON", "NEON dot product", "I8MM", "NEON BF16", "SVE")
    assert machine.has_int8_dot_product()
    assert machine.has_bfloat16()
    assert machine.is_virtual() is None


def test_a_mac_is_described_by_sysctl(plant: PatchMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(Machine(None, sysctl=MACOS["a Mac with Apple's processor"]))
    assert machine.cpu_model() == "Apple M3"
    assert machine.instruction_sets() == ("NEON", "NEON dot product", "I8MM")
    assert machine.is_virtual() is False
    assert machine.usable_cores() == 8
    assert machine.usable_core_numbers() == set(range(8))
    assert machine.peak_rss_bytes() == resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert machine.may_have_gpu()

    def unknown(name: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", unknown)
    assert machine.memory_bytes() == 16 * 2**30


def test_unknown_memory_size_is_assumed(
    plant: PatchMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(Machine(None, sysctl={}))
    monkeypatch.setattr(os, "sysconf", lambda _: -1)
    assert machine.memory_bytes() == machine._ASSUMED_BYTES


@pytest.mark.parametrize("content", ["<unknown>", "", None])
def test_an_unreadable_frequency_is_none(
    content: str | None, plant: PatchMachine, tmp_path: Path
) -> None:
    plant(Machine(cores=1))
    assert machine.frequency_hz() is machine.frequency_governor() is None
    folder = tmp_path / "sys" / "cpu" / "cpu0" / "cpufreq"
    folder.mkdir(parents=True)
    if content is not None:
        (folder / "scaling_cur_freq").write_text(content)
    assert machine.frequency_hz() is None
    (folder / "scaling_cur_freq").write_text("2400000\n")
    (folder / "scaling_governor").write_text("powersave\n")
    assert machine.frequency_hz() == 2.4e9
    assert machine.frequency_governor() == "powersave"


@pytest.mark.parametrize(("file", "possible"), [("nvidiactl", True), ("dxg", True), ("sda", False)])
def test_a_gpu_is_possible_only_with_a_drivers_device_file(
    file: str, possible: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / file).touch()
    monkeypatch.setattr(machine, "_DEVICES", tmp_path)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert machine.may_have_gpu() is possible
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert machine.may_have_gpu()
