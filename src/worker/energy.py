"""Energy counters of the CPU (RAPL) and the GPU (NVML)."""

from __future__ import annotations

from pathlib import Path

from src.system import cgroup
from src.worker import nvml

_POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Energy of the whole CPU package or GPU, with the share of other processes.

    Args:
        device: ``cpu`` or ``cuda``.
        powercap: the kernel's folder of counters; replaced in tests.

    The counters: https://docs.kernel.org/power/powercap/powercap.html. On most kernels only root
    can read them, because they were used as a side channel (CVE-2020-8694).
    """

    def __init__(self, device: str, powercap: Path = _POWERCAP) -> None:
        self._device = device
        self._zones = _packages(powercap) if device == "cpu" else []

    def since(self, before: list[int] | None) -> float | None:
        """Return the joules since :meth:`read` returned ``before``; None without a counter."""
        now = self.read()
        if before is None or now is None:
            return None
        if self._device == "cuda":
            # The counter starts at 0 when the driver is loaded again.
            return (now[0] - before[0]) * 1e-3 if now[0] >= before[0] else None
        total = 0
        for zone, first, last in zip(self._zones, before, now, strict=True):
            used = last - first
            if used < 0:  # the counter wrapped around
                used += _number(zone / "max_energy_range_uj") or 0
            if used < 0:
                return None
            total += used
        return total * 1e-6

    def read(self) -> list[int] | None:
        """Return the raw counters: microjoules of each package, or millijoules of the GPU."""
        if self._device == "cuda":
            millijoules = nvml.energy_millijoules()
            return None if millijoules is None else [millijoules]
        values = [_number(zone / "energy_uj") for zone in self._zones]
        known = [value for value in values if value is not None]
        return known if known and len(known) == len(values) else None


def _packages(powercap: Path) -> list[Path]:
    """Return the zones of the packages, or of their dies, each once.

    Their names are package-0 or package-0-die-1. Zones that would count energy twice are left out:
    ``psys`` is the whole platform and includes the packages; ``core``, ``uncore`` and ``dram`` are
    parts of a package, such as intel-rapl:0:1; intel-rapl-mmio:0 is a second view of intel-rapl:0.
    AMD uses the same names.
    """
    packages: dict[str, Path] = {}
    for zone in sorted(powercap.glob("intel-rapl:*")):
        name = (cgroup.read(zone / "name") or zone.name).strip()
        if zone.name.count(":") == 1 and name.startswith(("package", "intel-rapl:")):
            packages.setdefault(name, zone)
    return list(packages.values())


def _number(file: Path) -> int | None:
    text = (cgroup.read(file) or "").strip()
    return int(text) if text.isdecimal() else None  # missing, or not readable by this user
