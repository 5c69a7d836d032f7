"""The processor that this process may use: its cores, model and instruction sets."""

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

_ASSUMED_BYTES = 8 * 10**9  # of memory, on a system that does not report it
_SYSCTL_SECONDS = 5.0

# The kernel's flag -> the usual name. Only those by which runtimes choose their fp32, bf16 and
# int8 kernels.
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
# The kernel's flags of further sets that a compiler uses by itself with -march=native. Processors
# with the same sets of the above may differ in them: Ice Lake and Cascade Lake, Graviton4 and
# Graviton3. Not here are those that only intrinsics reach, such as AVX512_VP2INTERSECT, SME and
# JSCVT: code without them runs on a processor that lacks them.
_OF_COMPILERS = (
    *("abm", "avx", "bmi1", "bmi2", "f16c", "movbe", "popcnt", "sse4_1", "sse4_2"),
    *("avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512vbmi", "avx512_vbmi2", "gfni"),
    *("avx512_bitalg", "avx512_fp16", "avx512_vpopcntdq", "fma4", "tbm", "xop"),
    *("avx_ne_convert", "avx_vnni_int8", "avx_vnni_int16", "apx", "avx10"),
    *("atomics", "asimdhp", "fphp", "asimdfhm", "asimdrdm", "fcma", "lrcpc", "ilrcpc"),
    *("flagm", "frint", "sha3", "sve2", "svei8mm", "svebf16", "sve2p1", "mops", "cssc"),
)
# Those that Clang uses by itself (for shuffles of bytes, and for products of 52 bits), and GCC for
# intrinsics only. All AMD Zen have the first, and no Intel.
_OF_CLANG = ("sse4a", "avx512ifma", "avx_ifma")
# Names of the sets that a process which hides newer ones sees: see src/system/cpuid_mask.py.
_OLDER = ("AVX2", "FMA")
OF_INSTRUCTION_SET = {
    "avx2": _OLDER,
    "avx512": (*_OLDER, "AVX-512"),
    "avx512_vnni": (*_OLDER, "AVX-512", "AVX-512 VNNI"),
}
MASK_VARIABLE = "LIGHTSHIP_CPUID_MASK"  # names the newest instruction set that this process sees


def usable_cores() -> int:
    """Return the number of cores that this process may use.

    The limits are its affinity and the container's quota, rounded up.
    """
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, math.ceil(container_cores() or cores)))


def usable_core_numbers() -> set[int]:
    """Return the numbers of the cores that this process may use; all cores if unknown."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def frequency_hz() -> float | None:
    """Return the present frequency of the usable cores on average; None if it can't be read."""
    values = []
    for core in usable_core_numbers():
        text = cgroup.read(_CPU / f"cpu{core}/cpufreq/scaling_cur_freq") or ""
        if not text.strip().isdecimal():
            return None  # usually a virtual machine; or "<unknown>"
        values.append(int(text) * 1e3)
    return sum(values) / len(values)


def frequency_governor() -> str | None:
    """Return the first core's frequency policy, such as "powersave"; None if unknown."""
    text = cgroup.read(_CPU / "cpu0/cpufreq/scaling_governor")
    return None if text is None else text.strip()


def memory_bytes() -> int:
    """Return the memory that this process may use: the machine's, or the container's limit."""
    return min(_physical_bytes(), container_memory_bytes() or _physical_bytes())


def container_memory_bytes() -> int | None:
    """Return the container's limit of memory; None without one."""
    return cgroup.memory_bytes()


def container_cores() -> float | None:
    """Return the container's limit of processor time, in cores; None without one."""
    return cgroup.cores()


@functools.cache
def cpu_model() -> str:
    """Return the processor's name, or on ARM, whose kernel has no names, its numbers."""
    if platform.system() == "Darwin":
        return _sysctl("machdep.cpu.brand_string") or platform.machine()
    fields = _cpuinfo_fields()
    name = fields.get("model name") or fields.get("Model") or fields.get("cpu")
    if name:
        return name
    if "CPU part" in fields:
        implementer = fields.get("CPU implementer", "unknown")
        return f"{platform.machine()}, implementer {implementer}, part {fields['CPU part']}"
    return platform.processor() or platform.machine() or "unknown"


@functools.cache
def instruction_sets() -> tuple[str, ...]:
    """Return the usual names of the instruction sets that decide how fast a network runs here.

    Those that are hidden from this process are left out.
    """
    if platform.system() == "Darwin":
        return _darwin_instruction_sets()
    flags = _flags()
    visible = OF_INSTRUCTION_SET.get(os.environ.get(MASK_VARIABLE, ""), tuple(_ISA.values()))
    return tuple(name for flag, name in _ISA.items() if flag in flags and name in visible)


def _flags() -> set[str]:
    """Return the kernel's names of the instruction sets."""
    fields = _cpuinfo_fields()
    return set((fields.get("flags") or fields.get("Features") or "").split())


def code_instruction_sets(*, by_gcc: bool = False) -> tuple[str, ...]:
    """Return the instruction sets that may be in code which was compiled for this processor.

    They are those of :func:`instruction_sets`, and the kernel's names of the others that compilers
    use by themselves.

    Args:
        by_gcc: the compiler is GCC; otherwise it may be Clang.
    """
    flags = _flags()
    names = _OF_COMPILERS if by_gcc else _OF_COMPILERS + _OF_CLANG
    return (*instruction_sets(), *(name for name in names if name in flags))


def has_flag(name: str) -> bool:
    """Return True if the kernel lists an instruction set by this name."""
    return name in _flags()


def has_int8_dot_product() -> bool:
    """Return True if an instruction accumulates int8 products in 32 bits.

    Without it x86 sums pairs of u8*s8 products in saturating 16 bits (``vpmaddubsw``), so
    full-range int8 weights overflow.
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    available = set(instruction_sets())
    return bool(available & {"AVX-512 VNNI", "AVX-VNNI", "AMX-INT8", "NEON dot product", "I8MM"})


def lacks_dot_product() -> bool:
    """Return True for an x86 processor without an int8 dot product, whose int8 sums may saturate.

    Only Linux tells all instruction sets; elsewhere the answer is False.
    """
    return "flags" in _cpuinfo_fields() and not has_int8_dot_product()


def has_amx() -> bool:
    """Return True if the processor multiplies whole tiles of int8 (AMX)."""
    return "AMX-INT8" in instruction_sets()


def has_bfloat16() -> bool:
    """Return True if the processor multiplies bfloat16 matrices natively."""
    return bool(set(instruction_sets()) & {"AVX-512 BF16", "AMX-BF16", "NEON BF16"})


def may_have_gpu() -> bool:
    """Return False if this machine certainly has no GPU that torch calls ``cuda``.

    On Linux such a GPU has a device file: NVIDIA's, WSL's or AMD's. Elsewhere only a runtime can
    tell, so the answer is True.
    """
    if platform.system() != "Linux":
        return True
    return any((_DEVICES / name).exists() for name in ("nvidiactl", "nvidia0", "dxg", "kfd"))


def peak_rss_bytes() -> int:
    """Return the largest resident set that this process has had."""
    # Not ru_maxrss on Linux: it includes the parent's memory from before exec.
    for line in (cgroup.read(_STATUS) or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    unit = 1 if platform.system() == "Darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def is_virtual() -> bool | None:
    """Return True if this is a virtual machine; None if unknown.

    Linux reports it on x86 only.
    """
    if platform.system() == "Darwin":
        return {"1": True, "0": False}.get(_sysctl("kern.hv_vmm_present"))
    flags = _cpuinfo_fields().get("flags")
    return None if flags is None else "hypervisor" in flags.split()


def is_arm() -> bool:
    """Return True for a 64-bit ARM processor."""
    return platform.machine().lower() in {"arm64", "aarch64"}


def _physical_bytes() -> int:
    try:
        page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        page = pages = 0  # this system has no such setting
    if min(page, pages) > 0:  # -1 means unknown
        return page * pages
    size = _sysctl("hw.memsize")
    return int(size) if size.isdecimal() and int(size) else _ASSUMED_BYTES


@functools.cache
def _cpuinfo() -> tuple[str, ...]:
    return tuple((cgroup.read(_CPUINFO) or "").splitlines())


def _cpuinfo_fields() -> dict[str, str]:
    """Return each field of /proc/cpuinfo with its first value: that of the first core with it."""
    fields: dict[str, str] = {}
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields


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
    """Return a value of macOS's kernel; an empty text if there is none."""
    return subprocesses.output_of(["sysctl", "-n", key], _SYSCTL_SECONDS) or ""
