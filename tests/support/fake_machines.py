"""Fake machines: the kernel's files of each in a folder, and macOS's ``sysctl``."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from src.system import cgroup, machine

X86 = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Some CPU @ 3 GHz
flags\t\t: fpu avx2 avx512f avx512_vnni hypervisor
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm aes asimddp sve i8mm bf16
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd40

processor\t: 1
Features\t: fp asimd
"""
V2 = "41 31 0:38 {root} {point} rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "32 31 0:29 {root} {point} rw,relatime shared:9 - cgroup cgroup rw,{controllers}\n"


@dataclass(frozen=True)
class Machine:
    """Contents of the files that a machine's kernel provides.

    Args:
        cpuinfo: ``/proc/cpuinfo``; None for a system without it.
        own: ``/proc/self/cgroup``.
        mounts: lines of ``/proc/self/mountinfo`` for cgroups; ``{point}`` is the folder of
            ``limits``.
        limits: cgroup files, by path below that folder.
        sysctl: answers of macOS's ``sysctl``; None for Linux.
        cores: number of cores in the affinity mask.
    """

    cpuinfo: str | None = X86
    own: str = "0::/\n"
    mounts: str = V2
    limits: Mapping[str, str] = field(default_factory=dict)
    sysctl: Mapping[str, str] | None = None
    cores: int = 8


LINUX = {
    "x86": Machine(),
    "ARM": Machine(ARM),
    "a Raspberry Pi": Machine(f"{ARM}\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"),
    "POWER": Machine("processor\t: 0\ncpu\t\t: POWER9, altivec supported\n"),
    "a cpuinfo of other bytes": Machine("model name\t: Caf\udce9 9000\n"),
    "an empty cpuinfo": Machine(""),
    "no /proc": Machine(None, own="", mounts=""),
    "1.5 cores of quota": Machine(limits={"cpu.max": "150000 100000"}),
    "a quota below one core": Machine(limits={"cpu.max": "5000 100000"}),
    "cgroup v1": Machine(
        ARM,
        own="4:cpu,cpuacct:/docker/1f3c\n3:memory:/docker/1f3c\n",
        mounts=V1.replace("{controllers}", "cpu,memory"),
        limits={
            "docker/1f3c/cpu.cfs_quota_us": "250000",
            "docker/1f3c/cpu.cfs_period_us": "100000",
            "docker/1f3c/memory.limit_in_bytes": "4000000000",
            "memory.limit_in_bytes": "9223372036854771712",
        },
    ),
}
MACOS = {
    "a Mac with Apple's processor": {
        "machdep.cpu.brand_string": "Apple M3",
        "hw.memsize": "17179869184",
        "hw.optional.neon": "1",
        "hw.optional.arm.FEAT_DotProd": "1",
        "hw.optional.arm.FEAT_I8MM": "1",
        "kern.hv_vmm_present": "0",
    },
    "a virtual Mac": {"machdep.cpu.brand_string": "Intel", "kern.hv_vmm_present": "1"},
    "a Mac whose sysctl tells nothing": {},
}
MACHINES = {
    **LINUX,
    **{name: Machine(None, "", "", {}, answers) for name, answers in MACOS.items()},
}

PatchMachine = Callable[[Machine], Path]


def patch_machine(fake: Machine, folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Let :mod:`src.system.machine` read the files of ``fake``; return the cgroups' folder."""
    point = folder / "cgroup"
    point.mkdir(parents=True)
    for name, content in fake.limits.items():
        (point / name).parent.mkdir(parents=True, exist_ok=True)
        (point / name).write_text(content)
    proc = folder / "proc"
    if fake.cpuinfo is not None:
        (proc / "self").mkdir(parents=True)
        (proc / "cpuinfo").write_bytes(os.fsencode(fake.cpuinfo))
        (proc / "self" / "cgroup").write_text(fake.own)
        (proc / "self" / "mountinfo").write_text(fake.mounts.format(point=point, root="/"))
    patch.setattr(machine, "_CPUINFO", proc / "cpuinfo")
    patch.setattr(machine, "_STATUS", proc / "self" / "status")
    patch.setattr(machine, "_CPU", folder / "sys" / "cpu")
    patch.setattr(cgroup, "_OWN", proc / "self" / "cgroup")
    patch.setattr(cgroup, "_MOUNTS", proc / "self" / "mountinfo")
    patch.setattr(cgroup, "_USUAL_MOUNT", point)
    patch.setattr(os, "cpu_count", lambda: fake.cores)
    if fake.sysctl is None:
        patch.setattr(os, "sched_getaffinity", lambda _: set(range(fake.cores)), raising=False)
        patch.setattr(platform, "system", lambda: "Linux")
    else:
        patch.delattr(os, "sched_getaffinity", raising=False)
        patch.setattr(platform, "system", lambda: "Darwin")
        patch.setattr(platform, "machine", lambda: "arm64")
        _add_sysctl(fake.sysctl, folder / "bin", patch)
    return point


def _add_sysctl(answers: Mapping[str, str], folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Put a fake ``sysctl`` first on the PATH; it answers ``sysctl -n KEY``."""
    folder.mkdir()
    cases = "".join(f"  {key}) echo '{value}' ;;\n" for key, value in answers.items())
    program = folder / "sysctl"
    program.write_text(
        f'#!/bin/sh\ncase "$2" in\n{cases}  *) echo "unknown" >&2; exit 1 ;;\nesac\n'
    )
    program.chmod(0o755)
    patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def clear_caches() -> None:
    """Let :mod:`src.system.machine` read its files again."""
    for cached in (machine.cpu_model, machine.instruction_sets, machine._cpuinfo):
        cached.cache_clear()
