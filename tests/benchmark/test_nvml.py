"""The GPU's memory and energy, by a driver that the test plays."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from src.benchmark import nvml
from src.benchmark.energy import EnergyMeter


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
    library.nvmlDeviceGetHandleByIndex = lambda index: f"gpu {index}"
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
    assert nvml.describe() == {
        "driver": "580.1",
        "clock_hz": 1.5e9,
        "highest_clock_hz": 2e9,
        "power_limit_watts": 300.0,
    }


def test_without_the_package_or_a_gpu_nothing_is_said(
    driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_driver() -> None:
        raise driver.NVMLError

    driver.nvmlInit = no_driver
    assert nvml.used_bytes() is None
    assert nvml.describe() == {}
    nvml._device.cache_clear()
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml.energy_millijoules() is None
    meter = nvml.GrowthMeter()
    meter.begin()
    meter.end()
    assert meter.peak_bytes is None
