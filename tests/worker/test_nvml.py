"""Memory and energy of the GPU, with a fake driver."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from src.worker import nvml
from src.worker.energy import EnergyMeter

UUID = "2f1c8a6e-0000-1111-2222-333344445555"


@pytest.fixture(autouse=True)
def _forget_the_device() -> Iterator[None]:
    nvml._device.cache_clear()
    yield
    nvml._device.cache_clear()


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Any:
    library: Any = ModuleType("pynvml")
    library.NVMLError = type("NVMLError", (Exception,), {})
    library.NVML_CLOCK_SM = 1
    library.nvmlInit = lambda: None
    monkeypatch.setattr(nvml, "first_gpu", lambda: UUID)
    library.known = f"GPU-{UUID}"

    def by_uuid(name: str) -> str:
        if name != library.known:
            raise library.NVMLError
        return name

    library.nvmlDeviceGetHandleByUUID = by_uuid
    library.used, library.energy = 100, 5_000
    library.nvmlDeviceGetMemoryInfo = lambda _: SimpleNamespace(used=library.used)
    library.nvmlDeviceGetTotalEnergyConsumption = lambda _: library.energy
    library.nvmlSystemGetDriverVersion = lambda: "580.1"
    library.nvmlDeviceGetClockInfo = lambda *_: 1500
    library.nvmlDeviceGetMaxClockInfo = lambda *_: 2000
    library.nvmlDeviceGetEnforcedPowerLimit = lambda _: 300_000
    monkeypatch.setitem(sys.modules, "pynvml", library)
    return library


def test_the_growth_while_a_worker_is_asked_is_its_own(driver: Any) -> None:
    meter = nvml.GrowthMeter()
    meter.begin()
    driver.used = 700
    meter.sample()
    driver.used = 400
    meter.end()  # it keeps 300
    driver.used = 5_400  # another one's turn
    meter.begin()
    driver.used = 5_500
    meter.end()
    assert meter.peak_bytes == 600
    meter.begin()
    driver.used = 6_000
    meter.sample()
    assert meter.peak_bytes == 900


def test_energy_and_clocks_are_in_si_units(driver: Any) -> None:
    meter = EnergyMeter("cuda")
    before = meter.read()
    driver.energy += 1_500
    assert meter.since(before) == pytest.approx(1.5)
    assert nvml.describe() == nvml.GpuState(
        driver="580.1", clock_hz=1.5e9, highest_clock_hz=2e9, power_limit_watts=300.0
    )


def test_without_the_package_or_a_gpu_nothing_is_said(
    driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_driver() -> None:
        raise driver.NVMLError

    driver.nvmlInit = no_driver
    assert nvml.used_bytes() is None
    assert nvml.describe() == nvml.GpuState()
    nvml._device.cache_clear()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml.energy_millijoules() is None
    meter = nvml.GrowthMeter()
    meter.begin()
    meter.end()
    assert meter.peak_bytes is None


@pytest.mark.parametrize("kind", ["GPU", "MIG"])
def test_the_gpu_is_the_one_that_cuda_uses_whole_or_a_part(driver: Any, kind: str) -> None:
    driver.known = f"{kind}-{UUID}"
    assert nvml._device() == (driver, driver.known)


def test_a_gpu_that_nvml_does_not_know_is_not_taken_for_another(driver: Any) -> None:
    driver.known = "GPU-of-somebody-else"
    assert nvml.used_bytes() is None


class CudaDriver:
    """libcuda as far as the UUID needs it."""

    def __init__(self, codes: dict[str, int]) -> None:
        self._codes = codes

    def cuInit(self, flags: int) -> int:  # noqa: N802  # the driver's name
        return self._codes.get("cuInit", 0)

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:  # noqa: N802
        assert ordinal == 0
        return self._codes.get("cuDeviceGet", 0)

    def cuDeviceGetUuid_v2(self, found: Any, device: Any) -> int:  # noqa: N802
        found._obj[:] = bytes.fromhex(UUID.replace("-", ""))
        return self._codes.get("cuDeviceGetUuid_v2", 0)


@pytest.mark.parametrize(
    ("failing", "expected"),
    [(None, UUID), ("cuInit", None), ("cuDeviceGet", None), ("cuDeviceGetUuid_v2", None)],
)
def test_the_driver_tells_the_uuid_of_cudas_first_device(
    failing: str | None, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = {failing: 100} if failing else {}
    monkeypatch.setattr(nvml.ctypes, "CDLL", lambda name: CudaDriver(codes))
    assert nvml.first_gpu() == expected


def test_without_a_driver_there_is_no_first_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(nvml.ctypes, "CDLL", missing)
    assert nvml.first_gpu() is None
