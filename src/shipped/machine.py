"""The processor and the load on it, described as Lightship's report describes them.

``src/system/machine.py``, ``src/system/cgroup.py`` and ``src/benchmark/environment`` have the
reasons; the tests hold both to the same description of this machine and of planted ones.
"""

from __future__ import annotations

import math
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING or __package__:  # a part of a package
    from .latencies import Disturbance
else:  # in the folder of a model
    from latencies import Disturbance

ROOT = Path("/")  # replaced in tests
ISA = {
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
DARWIN_ISA = {
    "hw.optional.avx2_0": "AVX2",
    "hw.optional.neon": "NEON",
    "hw.optional.arm.FEAT_DotProd": "NEON dot product",
    "hw.optional.arm.FEAT_I8MM": "I8MM",
    "hw.optional.arm.FEAT_BF16": "NEON BF16",
}
PACKAGES = (
    *("MNN", "ai-edge-litert", "executorch", "ncnn", "numpy", "onnxruntime"),
    *("onnxruntime-openvino", "opencv-python-headless", "openvino", "pillow", "simplejpeg"),
    *("torch", "torchvision"),
)
# Packages that bring the same modules. An exam names them as the first one.
OTHERS = {
    "onnxruntime": ("onnxruntime-gpu",),
    "opencv-python-headless": (
        *("opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python"),
    ),
}
X86 = frozenset({"x86_64", "AMD64", "i686", "x86"})
# Instruction sets of x86; each adds products of int8 in 32 bits.
DOT_PRODUCTS = frozenset({"AVX-512 VNNI", "AVX-VNNI", "AMX-INT8"})
_SYSCTL_SECONDS = 5.0
_PERIOD = 100_000  # microseconds, of a quota


def describe(threads: int) -> dict[str, Any]:
    """Return the description of this machine as the plain values of a measurement."""
    return {
        "cpu": cpu_model(),
        "isa": list(instruction_sets()),
        "architecture": platform.machine(),
        "usable_cores": usable_cores(),
        "threads": threads,
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": versions(),
    }


def versions(version_of: Callable[[str], str | None] | None = None) -> dict[str, str]:
    """Return the versions of the packages that may answer or decode, by their names in an exam.

    Args:
        version_of: returns the version of a package, None for one that is not there; by default of
            those that are installed here.
    """
    version_of = version_of or _installed
    found = {}
    for name in PACKAGES:
        for other in (name, *OTHERS.get(name, ())):
            version = version_of(other)
            if version is not None:
                found[name] = version
                break
    return found


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def cpu_model() -> str:
    """Return the processor's name, or on ARM, whose kernel has no names, its numbers."""
    if platform.system() == "Darwin":
        return _sysctl("machdep.cpu.brand_string") or platform.machine()
    fields = _cpuinfo()
    name = fields.get("model name") or fields.get("Model") or fields.get("cpu")
    if name:
        return name
    if "CPU part" in fields:
        implementer = fields.get("CPU implementer", "unknown")
        return f"{platform.machine()}, implementer {implementer}, part {fields['CPU part']}"
    return platform.processor() or platform.machine() or "unknown"


def instruction_sets() -> tuple[str, ...]:
    """Return the usual names of the instruction sets by which runtimes choose their kernels."""
    if platform.system() == "Darwin":
        return tuple(name for key, name in DARWIN_ISA.items() if _sysctl(key) == "1")
    fields = _cpuinfo()
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return tuple(name for flag, name in ISA.items() if flag in flags)


def lacks_dot_product() -> bool:
    """Return True for an x86 processor without an int8 dot product, whose int8 sums may saturate.

    Only Linux tells all instruction sets; elsewhere the answer is False.
    """
    return "flags" in _cpuinfo() and DOT_PRODUCTS.isdisjoint(instruction_sets())


def may_lack_dot_product() -> bool:
    """Return True for an x86 processor that is not known to have an int8 dot product."""
    return platform.machine() in X86 and DOT_PRODUCTS.isdisjoint(instruction_sets())


def usable_cores() -> int:
    """Return the number of cores by the affinity and the container's quota, rounded up."""
    cores = len(core_numbers())
    return max(1, min(cores, math.ceil(_quota() or cores)))


def core_numbers() -> set[int]:
    """Return the numbers of the cores that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return affinity(0) if affinity else set(range(os.cpu_count() or 1))


def peak_rss_bytes() -> int | None:
    """Return the largest resident set that this process has had; None if it is not known."""
    for line in (_read("proc/self/status") or "").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None  # Windows
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Observation(NamedTuple):
    """CPU time counters of the usable cores at one moment."""

    at: float  # seconds
    busy: float  # seconds, this process and its children included
    steal: float  # seconds
    cores: int

    @classmethod
    def now(cls) -> Observation | None:
        """Read the counters; None if the system has none of this kind."""
        text = _read("proc/stat")
        if text is None:
            return None
        cores = core_numbers()
        tick = 1 / os.sysconf("SC_CLK_TCK")
        busy = steal = 0
        for line in text.splitlines():
            name, _, values = line.partition(" ")
            if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in cores:
                counts = [*map(int, values.split()), *[0] * 8]
                busy += sum(counts[:3]) + counts[5] + counts[6]
                steal += counts[7]
        return cls(perf_counter(), busy * tick, steal * tick, len(cores))

    def until(self, later: Observation, own_seconds: float, threads: int | None) -> Disturbance:
        """Return the disturbance until a later moment, without the CPU time of our own."""
        seconds = max(later.at - self.at, 1e-9)
        busy, stolen = later.busy - self.busy, later.steal - self.steal
        in_use = max(busy + stolen, min(threads or self.cores, self.cores) * seconds)
        return Disturbance(
            seconds=seconds,
            steal_share=stolen / in_use,
            other_cores=(busy - own_seconds) / seconds,
            frequency_hz=frequency_hz(),
            cores=self.cores,
            threads=threads,
        )


def frequency_hz() -> float | None:
    """Return the present frequency of the usable cores on average; None if it can't be read."""
    values = []
    for core in core_numbers():
        text = _read(f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq") or ""
        if not text.strip().isdecimal():
            return None
        values.append(int(text) * 1e3)
    return sum(values) / len(values)


def _quota() -> float | None:
    """Return the limit in cores of this process's control groups; None without one.

    The tightest one counts: a service of systemd, or a container without a namespace of its own, is
    in a group below others. The mounts are taken to be at their usual places.
    """
    limits = [limit for folder in _groups() if (limit := _limit_of(folder)) is not None]
    return min(limits, default=None)


def _groups() -> Iterator[str]:
    """Yield the folders of the groups that limit processor time, of version 2 and of version 1."""
    own = {"": "", "cpu": ""}  # by controller; in a container its own group is the mounted one
    for line in (_read("proc/self/cgroup") or "").splitlines():
        _, _, named = line.partition(":")
        controllers, _, path = named.partition(":")
        for controller in controllers.split(","):
            if controller in own:
                own[controller] = path
    for mount, path in (("sys/fs/cgroup", own[""]), ("sys/fs/cgroup/cpu", own["cpu"])):
        parts = [part for part in path.split("/") if part not in {"", "."}]
        if ".." in parts:  # a path on the host: the mounted group is the container's own
            parts = []
        for count in range(len(parts) + 1):
            yield "/".join([mount, *parts[:count]])


def _limit_of(folder: str) -> float | None:
    words = (_read(f"{folder}/cpu.max") or "").split()
    if not words:  # version 1
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        words = [(_read(f"{folder}/{name}") or "").strip() for name in names]
    if not words or not all(word.isdecimal() for word in words):
        return None
    quota, period = int(words[0]), int(words[1]) if len(words) > 1 else _PERIOD
    return quota / period if quota and period else None


def _cpuinfo() -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in (_read("proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields


def _read(name: str) -> str | None:
    try:
        return (ROOT / name).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _sysctl(key: str) -> str:
    try:
        ended = subprocess.run(
            ["sysctl", "-n", key],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SYSCTL_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return ended.stdout.strip()
