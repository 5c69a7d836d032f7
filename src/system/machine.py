"""The processor this process may use: how many cores, which model, which instructions."""

from __future__ import annotations

import functools
import math
import os
import platform
import resource
from pathlib import Path

from src.system import cgroup, subprocesses

_CPUINFO = Path("/proc/cpuinfo")
_CPU = Path("/sys/devices/system/cpu")
_DEVICES = Path("/dev")
_STATUS = Path("/proc/self/status")

_ASSUMED_BYTES = 8 * 10**9  # of memory, on a system that does not tell
_SYSCTL_SECONDS = 5.0

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
    """Cores this process may use: its affinity, and the container's quota rounded up."""
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
        text = cgroup.read(_CPU / f"cpu{core}/cpufreq/scaling_cur_freq") or ""
        if not text.strip().isdecimal():
            return None  # a virtual machine, mostly; or "<unknown>"
        values.append(int(text) * 1e3)
    return sum(values) / len(values)


def frequency_governor() -> str | None:
    """The kernel's policy for the first core's frequency, as in "powersave"; None if unknown."""
    text = cgroup.read(_CPU / "cpu0/cpufreq/scaling_governor")
    return None if text is None else text.strip()


def memory_bytes() -> int:
    """The memory this process may use: the machine's, or the container's limit."""
    return min(_physical_bytes(), container_memory_bytes() or _physical_bytes())


def container_memory_bytes() -> int | None:
    """The container's limit of memory; None without one."""
    return cgroup.memory_bytes()


def container_cores() -> float | None:
    """The container's limit of processor time, in cores; None without one."""
    return cgroup.cores()


@functools.cache
def cpu_model() -> str:
    """The processor's name as its maker writes it; on ARM, whose kernel has none, its numbers."""
    if platform.system() == "Darwin":
        return _sysctl("machdep.cpu.brand_string") or platform.machine()
    told = _first_values()
    name = told.get("model name") or told.get("Model") or told.get("cpu")
    if name:
        return name
    if "CPU part" in told:
        numbers = f"implementer {told.get('CPU implementer', 'unknown')}, part {told['CPU part']}"
        return f"{platform.machine()}, {numbers}"
    return platform.processor() or platform.machine() or "unknown"


@functools.cache
def instruction_sets() -> tuple[str, ...]:
    """The instruction sets that decide how fast a network runs here, in the field's names."""
    if platform.system() == "Darwin":
        return _darwin_instruction_sets()
    told = _first_values()
    flags = set((told.get("flags") or told.get("Features") or "").split())
    return tuple(name for flag, name in _ISA.items() if flag in flags)


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
    # getrusage's ru_maxrss also counts what the parent held before exec.
    for line in (cgroup.read(_STATUS) or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def is_virtual() -> bool | None:
    """Whether a hypervisor shares this processor with others; None where that is not told.

    Linux tells it on x86 only.
    """
    if platform.system() == "Darwin":
        return {"1": True, "0": False}.get(_sysctl("kern.hv_vmm_present"))
    flags = _first_values().get("flags")
    return None if flags is None else "hypervisor" in flags.split()


def is_arm() -> bool:
    """Whether this is a 64-bit ARM processor."""
    return platform.machine().lower() in {"arm64", "aarch64"}


def _physical_bytes() -> int:
    try:
        page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        page = pages = 0  # no such name
    if min(page, pages) > 0:  # -1 is no answer
        return page * pages
    told = _sysctl("hw.memsize")
    return int(told) if told.isdecimal() and int(told) else _ASSUMED_BYTES


@functools.cache
def _cpuinfo() -> tuple[str, ...]:
    return tuple((cgroup.read(_CPUINFO) or "").splitlines())


def _first_values() -> dict[str, str]:
    """What the kernel says of the first core that it says it of, by its names."""
    told: dict[str, str] = {}
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        told.setdefault(key.strip(), value.strip())
    return told


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
    """A value of macOS's kernel; empty where there is none."""
    return subprocesses.output_of(["sysctl", "-n", key], _SYSCTL_SECONDS) or ""
