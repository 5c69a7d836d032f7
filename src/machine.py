"""The processor this process may use: how many cores, which model, which instructions."""

from __future__ import annotations

import functools
import math
import os
import platform
import resource
import subprocess
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
_CPU = Path("/sys/devices/system/cpu")
_DEVICES = Path("/dev")
_STATUS = Path("/proc/self/status")

# The kernel's flag name -> the name the field uses. Only those that decide which
# kernels a runtime picks for fp32, bf16 and int8.
_ISA = {
    "avx2": "AVX2",
    "fma": "FMA",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_tile": "AMX",
    "amx_int8": "AMX-INT8",
    "amx_bf16": "AMX-BF16",
    "asimd": "NEON",
    "asimddp": "NEON dot product",
    "i8mm": "I8MM",
    "bf16": "NEON BF16",
    "sve": "SVE",
}


def usable_cores() -> int:
    """Cores this process may use: affinity and the container's CPU quota respected."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, math.ceil(container_cores() or cores)))


def usable_core_numbers() -> set[int]:
    """The numbers of the cores this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def frequency_hz() -> float | None:
    """The present frequency of the usable cores on average; None where it can't be read."""
    values = []
    for core in usable_core_numbers():
        try:
            text = (_CPU / f"cpu{core}/cpufreq/scaling_cur_freq").read_text(encoding="ascii")
        except OSError:
            return None  # a virtual machine, mostly
        values.append(int(text) * 1e3)
    return sum(values) / len(values)


def frequency_governor() -> str | None:
    """The kernel's policy for the first core's frequency, as in "powersave"; None if unknown."""
    try:
        return (_CPU / "cpu0/cpufreq/scaling_governor").read_text(encoding="ascii").strip()
    except OSError:
        return None


def memory_bytes() -> int:
    """The memory this process may use: the machine's, or the container's limit."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(whole, container_memory_bytes() or whole)


def container_memory_bytes() -> int | None:
    """The container's limit of memory; None without one."""
    try:
        limit = _CGROUP_MEMORY.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(limit) if limit.isdecimal() else None


def container_cores() -> float | None:
    """The container's limit of processor time, in cores; None without one.

    cgroup v2, "max 100000" or "150000 100000": microseconds of CPU per period.
    https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    """
    try:
        limit, period = _CGROUP_QUOTA.read_text(encoding="ascii").split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError):
        return None


@functools.cache
def cpu_model() -> str:
    """The processor's name as its maker writes it."""
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return _sysctl("machdep.cpu.brand_string") or platform.processor() or platform.machine()


@functools.cache
def instruction_sets() -> tuple[str, ...]:
    """The instruction sets that decide how fast a network runs here, in the field's names."""
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:
            flags = set(value.split())
            return tuple(name for flag, name in _ISA.items() if flag in flags)
    if platform.system() == "Darwin":
        return _darwin_instruction_sets()
    return ()


def has_int8_dot_product() -> bool:
    """Whether int8 products accumulate in 32 bits at once.

    Without such an instruction x86 sums pairs of u8*s8 products in saturating 16 bits
    (``vpmaddubsw``), so full-range int8 weights overflow.
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    has = set(instruction_sets())
    return bool(has & {"AVX-512 VNNI", "AVX-VNNI", "AMX-INT8", "NEON dot product", "I8MM"})


def has_amx() -> bool:
    """Whether the CPU multiplies whole tiles of int8."""
    return "AMX-INT8" in instruction_sets()


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 matrices natively."""
    return bool(set(instruction_sets()) & {"AVX-512 BF16", "AMX-BF16", "NEON BF16"})


def may_have_gpu() -> bool:
    """Whether a GPU that torch calls ``cuda`` can be here: on Linux, a driver's device file is.

    NVIDIA's, that of WSL, and AMD's. Elsewhere only a runtime can tell, so it is True.
    """
    if platform.system() != "Linux":
        return True
    return any((_DEVICES / name).exists() for name in ("nvidiactl", "nvidia0", "dxg", "kfd"))


def peak_rss_bytes() -> int:
    """The largest resident set that this process has had."""
    try:
        # getrusage's ru_maxrss also counts what the parent held before exec.
        with _STATUS.open(encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # no /proc: macOS, where ru_maxrss is in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def is_virtual() -> bool | None:
    """Whether a hypervisor shares this processor with others; None where that is not told."""
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        if key.strip() == "flags":
            return "hypervisor" in value.split()
    return None


def is_arm() -> bool:
    """Whether this is a 64-bit ARM processor."""
    return platform.machine().lower() in {"arm64", "aarch64"}


@functools.cache
def _cpuinfo() -> tuple[str, ...]:
    try:
        return tuple(_CPUINFO.read_text().splitlines())
    except OSError:
        return ()


def _darwin_instruction_sets() -> tuple[str, ...]:
    features = {
        "hw.optional.avx2_0": "AVX2",
        "hw.optional.neon": "NEON",
        "hw.optional.arm.FEAT_DotProd": "NEON dot product",
        "hw.optional.arm.FEAT_I8MM": "I8MM",
        "hw.optional.arm.FEAT_BF16": "NEON BF16",
    }
    return tuple(name for key, name in features.items() if _sysctl(key) == "1")


def _sysctl(key: str) -> str:
    try:
        answer = subprocess.run(
            ["sysctl", "-n", key], capture_output=True, text=True, timeout=5, check=False
        )
    except OSError:
        return ""
    return answer.stdout.strip()
