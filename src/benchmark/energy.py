"""Energy counters: the processor's by RAPL, a GPU's by NVML."""

from __future__ import annotations

from pathlib import Path

from src.benchmark import nvml

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
        # The packages are intel-rapl:0, intel-rapl:1 (on AMD as well); what is below one of
        # them, intel-rapl:0:1, is in its sum already.
        self._zones = sorted(powercap.glob("intel-rapl:*[0-9]")) if device == "cpu" else []
        self._zones = [zone for zone in self._zones if zone.name.count(":") == 1]

    def since(self, before: list[int] | None) -> float | None:
        """Joules since :meth:`read` gave ``before``; None where there is no counter."""
        now = self.read()
        if before is None or now is None:
            return None
        if self._device == "cuda":
            return (now[0] - before[0]) * 1e-3
        total = 0
        for zone, first, last in zip(self._zones, before, now, strict=True):
            wrap = _number(zone / "max_energy_range_uj") or 0
            total += last - first if last >= first else last - first + wrap
        return total * 1e-6

    def read(self) -> list[int] | None:
        """The raw counters: microjoules of each package, or millijoules of the GPU."""
        if self._device == "cuda":
            joules = nvml.energy_millijoules()
            return None if joules is None else [joules]
        values = [_number(zone / "energy_uj") for zone in self._zones]
        known = [value for value in values if value is not None]
        return known if known and len(known) == len(values) else None


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None  # not there, or not for this user to read
