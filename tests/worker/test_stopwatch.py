"""The stopwatch and the energy meter, with a fake runtime and a fake clock."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from src.backends.base import Profile
from src.worker import protocol
from src.worker.energy import EnergyMeter
from src.worker.stopwatch import TURN_WARMUP_SECONDS, WINDOW_CALLS, Stopwatch

IMAGES = np.zeros((1, 3, 2, 2), np.float32)


class Fake:
    """A runtime and its clock: each call takes the next of ``durations``."""

    def __init__(self, durations: Iterable[float], device: float | None = None) -> None:
        self.settings: dict[str, Any] = {}
        self.now = 0.0
        self.durations = iter(durations)
        self.synchronized = 0
        self.device = device
        self.collecting: list[bool] = []

    def __call__(self, images: Any) -> Any:
        self.now += next(self.durations)
        self.collecting.append(gc.isenabled())

    def synchronize(self) -> None:
        self.synchronized += 1

    def device_seconds(self, images: Any) -> float | None:
        return self.device

    def profile(self, images: Any) -> Profile:
        return Profile()

    def clock(self) -> float:
        return self.now

    def stopwatch(self) -> Stopwatch:
        return Stopwatch(self, IMAGES, clock=self.clock, cpu_clock=lambda: 2 * self.now)


def test_a_call_is_timed_between_two_synchronisations() -> None:
    fake = Fake([0.5])
    assert fake.stopwatch().once() == 0.5
    assert fake.synchronized == 2


def test_warm_up_ends_when_two_windows_agree() -> None:
    # Windows with medians 4, 2, 1, 1.
    slow = [[seconds] * WINDOW_CALLS for seconds in (4.0, 2.0, 1.0, 1.0)]
    answer = Fake(chain.from_iterable(slow)).stopwatch().warm_up(0.02, 1000)
    assert answer == protocol.WarmedUp(warm=True, seconds=8.0 * WINDOW_CALLS)


def test_warm_up_ends_when_windows_that_never_agree_have_no_direction() -> None:
    windows = [[seconds] * WINDOW_CALLS for seconds in (4.0, 2.0, 1.0, 1.25)]
    answer = Fake(chain.from_iterable(windows)).stopwatch().warm_up(0.02, 1000)
    assert answer == protocol.WarmedUp(warm=True, seconds=8.25 * WINDOW_CALLS)


def test_warm_up_that_never_settles_is_marked_at_its_ceiling() -> None:
    falling = (100 * 0.9**number for number in range(10_000))
    answer = Fake(falling).stopwatch().warm_up(0.02, 700)
    assert answer.warm is False
    assert answer.seconds >= 700


def test_a_turn_ends_at_its_samples_or_its_seconds() -> None:
    few = Fake(repeat(1.0)).stopwatch().time(samples=4, max_seconds=100)
    assert few.seconds == [1.0] * 4
    assert few.elapsed_seconds == 4.0
    assert few.cpu_seconds == 8.0
    assert few.device_seconds is None
    long = Fake(repeat(1.0)).stopwatch().time(samples=100, max_seconds=2.5)
    assert long.seconds == [1.0] * 3


def test_calls_before_a_turn_are_not_counted() -> None:
    slow = Fake([9.0, *[1.0] * 2])
    assert slow.stopwatch().time(samples=2, max_seconds=100).seconds == [1.0, 1.0]
    quick = Fake([*[TURN_WARMUP_SECONDS / 4] * 4, *[1.0] * 2])
    assert quick.stopwatch().time(samples=2, max_seconds=100).seconds == [1.0, 1.0]


def test_the_device_is_asked_as_often_as_the_host_was() -> None:
    answer = Fake(repeat(1.0), device=0.25).stopwatch().time(samples=3, max_seconds=100)
    assert answer.device_seconds == [0.25] * 3


def test_garbage_is_not_collected_in_a_turn_and_is_after_it() -> None:
    fake = Fake(repeat(1.0))
    fake.stopwatch().time(samples=2, max_seconds=100)
    assert fake.collecting == [True, False, False]
    assert gc.isenabled()


def zone(folder: Path, name: str, microjoules: int, called: str | None = None) -> Path:
    counter = folder / name
    counter.mkdir(exist_ok=True)
    (counter / "energy_uj").write_text(f"{microjoules}\n")
    (counter / "max_energy_range_uj").write_text("1000000\n")
    if called is not None:
        (counter / "name").write_text(f"{called}\n")
    return counter


def test_energy_is_the_sum_of_the_packages(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", 100)
    zone(tmp_path, "intel-rapl:1", 999_000)
    zone(tmp_path, "intel-rapl:0:0", 5)  # the cores of package 0, in its sum already
    meter = EnergyMeter("cpu", tmp_path)
    before = meter.read()
    zone(tmp_path, "intel-rapl:0", 300_100)
    zone(tmp_path, "intel-rapl:1", 1_000)  # it wrapped
    zone(tmp_path, "intel-rapl:0:0", 99_999)
    assert meter.since(before) == pytest.approx(0.300 + 0.002)


ZONES = {
    "psys beside the package": ({"0": "package-0", "1": "psys"}, ["0"]),
    "psys before the package": ({"0": "psys", "1": "package-0"}, ["1"]),
    "a laptop's": (
        {"0": "package-0", "0:0": "core", "0:1": "uncore", "1": "psys"},
        ["0"],
    ),
    "a server's of two packages": (
        {"0": "package-0", "0:0": "dram", "1": "package-1", "1:0": "dram"},
        ["0", "1"],
    ),
    "a package of two dies": ({"0": "package-0-die-0", "1": "package-0-die-1"}, ["0", "1"]),
    "AMD's": ({"0": "package-0", "0:0": "core"}, ["0"]),
    "a package seen twice": ({"0": "package-0", "1": "package-0", "2": "psys"}, ["0"]),
    "dram of its own": ({"0": "package-0", "1": "dram"}, ["0"]),
    "the platform alone": ({"0": "psys"}, []),
}


@pytest.mark.parametrize("name", ZONES)
def test_energy_counts_each_package_once(name: str, tmp_path: Path) -> None:
    zones, counted = ZONES[name]
    for number, called in zones.items():
        zone(tmp_path, f"intel-rapl:{number}", 0, called)
    zone(tmp_path, "intel-rapl-mmio:0", 0, "package-0")  # the same counter, by another way
    (tmp_path / "intel-rapl").mkdir()
    meter = EnergyMeter("cpu", tmp_path)
    before = meter.read()
    for index, (number, called) in enumerate(zones.items()):
        zone(tmp_path, f"intel-rapl:{number}", 2**index, called)
    zone(tmp_path, "intel-rapl-mmio:0", 500_000, "package-0")
    expected = sum(2**index for index, number in enumerate(zones) if number in counted)
    assert meter.since(before) == (pytest.approx(expected * 1e-6) if counted else None)


def test_a_wrapped_energy_counter_without_a_range_gives_no_energy(
    tmp_path: Path,
) -> None:
    counter = zone(tmp_path, "intel-rapl:0", 100, "package-0")
    (counter / "max_energy_range_uj").unlink()
    meter = EnergyMeter("cpu", tmp_path)
    before = meter.read()
    (counter / "energy_uj").write_text("99\n")
    assert meter.since(before) is None


def test_energy_that_cannot_be_read_is_missing(tmp_path: Path) -> None:
    assert EnergyMeter("cpu", tmp_path).read() is None
    assert EnergyMeter("cpu", tmp_path).since(None) is None
    counter = zone(tmp_path, "intel-rapl:0", 1)
    (counter / "energy_uj").unlink()
    assert EnergyMeter("cpu", tmp_path).read() is None


class SteppingCounter:
    """A GPU's energy counter: 2 J a second, told every ``step`` seconds only."""

    def __init__(self, fake: Fake, step: float) -> None:
        self._fake, self._step = fake, step

    def read(self) -> list[int] | None:
        return [int(2000 * (self._fake.now // self._step) * self._step)]

    def since(self, before: list[int] | None) -> float | None:
        now = self.read()
        return None if before is None or now is None else (now[0] - before[0]) / 1e3


@pytest.mark.parametrize("step", [0.02, 0.1, 0.25])
def test_energy_is_counted_between_two_steps_of_a_slow_counter(step: float) -> None:
    fake = Fake(repeat(0.001))
    meter: Any = SteppingCounter(fake, step)
    stopwatch = Stopwatch(fake, IMAGES, clock=fake.clock, energy=meter)
    spent = stopwatch.energy(least_seconds=0.5, max_seconds=3)
    assert spent.joules is not None
    # 2 W for calls of a millisecond.
    assert spent.joules / spent.calls == pytest.approx(0.002, rel=0.01)


def test_an_energy_counter_that_never_changes_gives_no_energy() -> None:
    fake = Fake(repeat(0.001))
    meter: Any = SteppingCounter(fake, step=100)
    stopwatch = Stopwatch(fake, IMAGES, clock=fake.clock, energy=meter)
    assert stopwatch.energy(least_seconds=0.1, max_seconds=0.5).joules is None
    assert fake.now < 0.6
    assert fake.stopwatch().energy(least_seconds=0.1, max_seconds=0.5).joules is None
