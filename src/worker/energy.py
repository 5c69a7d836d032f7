"""Energy counters: the processor's by RAPL, a GPU's by NVML."""

from __future__ import annotations

from pathlib import Path

from src.system import cgroup
from src.worker import nvml

_POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Joules since the start, of the whole package or GPU: other processes' share included.

    Args:
        device: ``cpu`` or ``cuda``.
        powercap: the kernel's folder of counters; replaced in tests.

    The counters: https://docs.kernel.org/power/powercap/powercap.html. Most kernels let only
    root read them, for their use as a side channel (CVE-2020-8694).
    """

    def __init__(self, device: str, powercap: Path = _POWERCAP) -> None:
        self._device = device
        self._zones = _packages(powercap) if device == "cpu" else []

    def since(self, before: list[int] | None) -> float | None:
        """Joules since :meth:`read` gave ``before``; None where there is no counter."""
        now = self.read()
        if before is None or now is None:
            return None
        if self._device == "cuda":
            # A driver that was loaded again begins anew.
            return (now[0] - before[0]) * 1e-3 if now[0] >= before[0] else None
        total = 0
        for zone, first, last in zip(self._zones, before, now, strict=True):
            used = last - first
            if used < 0:  # the counter began anew
                used += _number(zone / "max_energy_range_uj") or 0
            if used < 0:
                return None
            total += used
        return total * 1e-6

    def read(self) -> list[int] | None:
        """The raw counters: microjoules of each package, or millijoules of the GPU."""
        if self._device == "cuda":
            joules = nvml.energy_millijoules()
            return None if joules is None else [joules]
        values = [_number(zone / "energy_uj") for zone in self._zones]
        known = [value for value in values if value is not None]
        return known if known and len(known) == len(values) else None


def _packages(powercap: Path) -> list[Path]:
    """The zones of the packages, or of their dies, each once.

    They are called package-0 or package-0-die-1. ``psys``, beside them, is the whole platform and
    holds them; ``core``, ``uncore`` and ``dram`` lie within one of them, as intel-rapl:0:1; and
    intel-rapl-mmio:0 is another view of the counter of intel-rapl:0. AMD's have the same names.
    """
    packages: dict[str, Path] = {}
    for zone in sorted(powercap.glob("intel-rapl:*")):
        name = (cgroup.read(zone / "name") or zone.name).strip()
        if zone.name.count(":") == 1 and name.startswith(("package", "intel-rapl:")):
            packages.setdefault(name, zone)
    return list(packages.values())


def _number(file: Path) -> int | None:
    text = (cgroup.read(file) or "").strip()
    return int(text) if text.isdecimal() else None  # not there, or not for this user to read
