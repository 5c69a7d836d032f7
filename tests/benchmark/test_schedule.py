"""Who is taken in which round, on rows whose turns take what the test says."""

from __future__ import annotations

from typing import Any

import numpy as np

from src.benchmark.latency import Turn, speedup
from src.benchmark.options import BenchmarkOptions
from src.benchmark.schedule import LEAST_ROUNDS, ROUNDS_PAST_DEADLINE, Schedule, rotated

IMAGES = np.zeros((1, 3, 2, 2), np.float32)


class FakeRow:
    """A row whose turns cost a second and are as noisy as it is told to be."""

    def __init__(self, name: str, log: list[Any], noise: float = 0.0, **figures: Any) -> None:
        self.name, self.device, self.noise, self.log = name, "cpu", noise, log
        self.figures = {"precision": "fp32", **figures}
        self.runtime = figures.get("runtime")
        self.ok = True
        self.rounds: dict[int, dict[int, Turn]] = {}
        self.generator = np.random.default_rng(len(name))

    def time(self, images: Any, number: int, options: BenchmarkOptions) -> None:
        seconds = float(np.exp(self.noise * self.generator.normal()))
        self.rounds.setdefault(len(images), {})[number] = Turn([seconds], seconds, seconds)
        self.log.append((number, self.name))

    def speedup(self, other: FakeRow, size: int) -> Any:
        return speedup(other.rounds.get(size, {}), self.rounds.get(size, {}))


def run(rows: Any, log: list[Any], batches: int = 1, **options: Any) -> None:
    schedule = Schedule(
        rows, BenchmarkOptions(**options), lambda *_: None, clock=lambda: float(len(log))
    )
    schedule.run([np.zeros((size + 1, 3, 2, 2), np.float32) for size in range(batches)])


def test_no_row_always_follows_the_same_one() -> None:
    rows: Any = ["a", "b", "c"]
    assert ["".join(rotated(rows, number)) for number in range(6)] == [
        "abc", "cba", "bca", "acb", "cab", "bac",
    ]  # fmt: skip


def test_rounds_end_when_every_speedup_is_precise() -> None:
    log: list[Any] = []
    run([FakeRow("eager", log), FakeRow("other", log)], log, max_seconds=1000)
    assert len(log) == 2 * LEAST_ROUNDS


def test_a_noisy_row_goes_on_with_its_baseline_alone() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("precise", log), FakeRow("noisy", log, noise=0.5)]
    run(rows, log, max_seconds=10_000, rounds=30)
    late = {name for number, name in log if number >= LEAST_ROUNDS}
    assert late == {"eager", "noisy"}
    assert max(number for number, _ in log) == 29


def test_the_time_there_is_ends_it_and_is_shared_by_the_batches() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("noisy", log, noise=0.5)]
    run(rows, log, batches=2, max_seconds=40)
    assert [sum(len(row.rounds[size]) for row in rows) for size in (1, 2)] == [22, 20]


def test_past_its_time_each_batch_still_gets_a_few_rounds() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("noisy", log, noise=0.5)]
    run(rows, log, batches=2, max_seconds=1)
    assert [len(rows[0].rounds[size]) for size in (1, 2)] == [ROUNDS_PAST_DEADLINE] * 2


def test_a_row_that_failed_is_passed_over() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("broken", log)]
    rows[1].ok = False
    run(rows, log)
    assert {name for _, name in log} == {"eager"}


def test_a_row_is_also_compared_with_fp32_in_its_own_runtime() -> None:
    log: list[Any] = []
    rows: Any = [
        FakeRow("eager", log, runtime="torch"),
        FakeRow("fast_fp32", log, runtime="fast"),
        FakeRow("fast_int8", log, runtime="fast", precision="int8"),
        FakeRow("lonely_int8", log, runtime="lonely", precision="int8"),
    ]
    schedule = Schedule(rows, BenchmarkOptions(), lambda *_: None)
    assert [found and found.name for found in (schedule.counterpart_of(row) for row in rows)] == [
        None,
        None,
        "fast_fp32",
        None,
    ]


def test_a_row_of_a_gpu_is_not_compared_with_the_speed_of_the_cpu() -> None:
    log: list[Any] = []
    on_cpu, failed, other = (FakeRow("eager", log), FakeRow("eager", log), FakeRow("other", log))
    failed.device = other.device = "cuda"
    failed.ok = False
    rows: Any = [on_cpu, failed, other]
    schedule = Schedule(rows, BenchmarkOptions(), lambda *_: None)
    gpu_row: Any = other
    assert schedule.baseline_of(gpu_row) is None
    # Its answers are still compared with those of the trained network.
    reference: Any = schedule.reference_of(gpu_row)
    assert reference is on_cpu


def test_a_row_of_a_gpu_is_compared_with_the_baseline_that_ran_there() -> None:
    log: list[Any] = []
    on_cpu, on_gpu, other = (FakeRow("eager", log), FakeRow("eager", log), FakeRow("other", log))
    on_gpu.device = other.device = "cuda"
    rows: Any = [on_cpu, on_gpu, other]
    schedule = Schedule(rows, BenchmarkOptions(), lambda *_: None)
    gpu_row: Any = other
    found: list[Any] = [schedule.baseline_of(gpu_row), schedule.reference_of(gpu_row)]
    assert found == [on_gpu, on_gpu]


def test_rows_are_not_compared_with_a_baseline_that_failed_meanwhile() -> None:
    log: list[Any] = []
    baseline, other = FakeRow("eager", log), FakeRow("other", log)
    rows: Any = [baseline, other]
    schedule = Schedule(rows, BenchmarkOptions(), lambda *_: None)
    row: Any = other
    assert schedule.baseline_of(row) is not None
    baseline.ok = False
    assert schedule.baseline_of(row) is schedule.reference_of(row) is None
