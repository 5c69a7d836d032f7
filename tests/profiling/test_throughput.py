"""Throughput of a training, measured with a fake clock."""

from __future__ import annotations

import pytest

from src.profiling.throughput import ThroughputMeter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def train(
    meter: ThroughputMeter, clock: Clock, data: float, compute: float, counts: bool = True
) -> None:
    clock.now += data
    meter.start_step()
    clock.now += compute
    meter.end_step(32, counts=counts)


def test_a_step_lasts_from_the_end_of_the_previous_step_to_its_own_end(clock: Clock) -> None:
    meter = ThroughputMeter(clock)
    train(meter, clock, 9.0, 9.0)  # the first step has no start
    for _ in range(4):
        train(meter, clock, 0.1, 0.3)
    throughput = meter.take()
    assert throughput is not None
    assert throughput.step_seconds == pytest.approx(0.4)
    assert throughput.data_share == pytest.approx(0.25)
    assert throughput.images_per_second == pytest.approx(80)


def test_take_resets_the_sums(clock: Clock) -> None:
    meter = ThroughputMeter(clock)
    for _ in range(3):
        train(meter, clock, 0.1, 0.3)
    assert meter.take() is not None
    assert meter.take() is None


def test_a_validation_between_two_steps_is_excluded(clock: Clock) -> None:
    meter = ThroughputMeter(clock)
    train(meter, clock, 0.1, 0.3)
    clock.now += 60
    meter.pause()
    train(meter, clock, 0.1, 0.3)
    train(meter, clock, 0.1, 0.3)
    throughput = meter.take()
    assert throughput is not None
    assert throughput.step_seconds == pytest.approx(0.4)


def test_profiled_steps_and_the_writing_of_their_trace_are_excluded(clock: Clock) -> None:
    meter = ThroughputMeter(clock)
    train(meter, clock, 0.1, 0.3)
    train(meter, clock, 0.1, 5.0, counts=False)
    clock.now += 20  # writing of the trace
    train(meter, clock, 0.1, 0.3)
    train(meter, clock, 0.1, 0.3)
    throughput = meter.take()
    assert throughput is not None
    assert throughput.step_seconds == pytest.approx(0.4)
    assert throughput.images_per_second == pytest.approx(80)
