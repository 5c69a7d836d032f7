"""Order and end of the timing, with fake rows whose turns have given durations."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from src.benchmark.options import BenchmarkOptions
from src.benchmark.schedule import (
    LEAST_ROUNDS,
    PROCESSES_BEFORE_FIRST_CHECK,
    PROCESSES_BETWEEN_CHECKS,
    Schedule,
    rotated,
)
from src.benchmark.statistics.latency import speedup
from src.run.latency import Turn
from src.run.results import Objective

IMAGES = np.zeros((1, 3, 2, 2), np.float32)


class FakeRow:
    """A row whose turns cost a second, and whose processes are as different as it is told to be."""

    def __init__(
        self, name: str, log: list[Any], noise: float = 0.0, load_seconds: float = 0, **figures: Any
    ) -> None:
        self.name, self.device, self.noise, self.log = name, "cpu", noise, log
        self.figures = SimpleNamespace(
            precision=figures.get("precision", "fp32"),
            load_seconds=load_seconds,
            is_of_twin=figures.get("is_of_twin", False),
        )
        self.runtime = figures.get("runtime")
        self.ok = True
        self.embedded = SimpleNamespace(is_answering=False)
        self.rounds: dict[int, dict[int, Turn]] = {}
        self.generator = np.random.default_rng(len(name))
        self.process = 0
        self.begun = False
        self.seconds = self.draw()

    def draw(self) -> float:
        return float(np.exp(self.noise * self.generator.normal()))

    def begin_process(self) -> None:
        assert not self.begun
        self.begun = True
        self.process += 1
        self.seconds = self.draw()
        self.log.append(("begin", self.name))

    def open_process(self) -> None:
        assert self.begun
        self.begun = False
        self.log.append(("open", self.name))

    def time(self, images: Any, number: int, options: BenchmarkOptions) -> None:
        assert not self.begun
        turn = Turn(
            seconds=[self.seconds],
            elapsed_seconds=self.seconds,
            cpu_seconds=self.seconds,
            process=self.process,
        )
        assert number not in self.rounds.setdefault(len(images), {})
        self.rounds[len(images)][number] = turn
        self.log.append((number, self.name))

    def speedup(self, other: FakeRow, size: int) -> Any:
        return speedup(other.rounds.get(size, {}), self.rounds.get(size, {}))


def run(rows: Any, log: list[Any], batches: int = 1, pairs: Any = None, **options: Any) -> None:
    schedule = Schedule(
        rows,
        BenchmarkOptions(**options),
        lambda *_: None,
        clock=lambda: float(len(log)),
        pairs=pairs,
    )
    schedule.run([np.zeros((size + 1, 3, 2, 2), np.float32) for size in range(batches)])


def turns_of(row: FakeRow, size: int = 1) -> list[int]:
    """How many rounds each process of a row had."""
    processes = [turn.process for turn in row.rounds[size].values()]
    return [processes.count(each) for each in dict.fromkeys(processes)]


def test_no_row_always_follows_the_same_one() -> None:
    rows: Any = ["a", "b", "c"]
    assert ["".join(rotated(rows, number)) for number in range(6)] == [
        "abc", "cba", "bca", "acb", "cab", "bac",
    ]  # fmt: skip


def test_every_row_has_its_rounds_in_each_of_its_processes() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("other", log)]
    run(rows, log, batches=2, max_seconds=1000, processes=3, rounds=4)
    assert [turns_of(row, size) for row in rows for size in (1, 2)] == [[4, 4, 4]] * 4


def test_nothing_is_timed_while_a_process_starts_and_all_import_at_once() -> None:
    log: list[Any] = []
    run([FakeRow(name, log) for name in "ab"], log, max_seconds=1000, processes=2, rounds=1)
    # A fake row that is begun and not open refuses to be timed.
    starts = [("begin", "b"), ("begin", "a"), ("open", "b"), ("open", "a")]
    assert [each for each in log if each[0] in {"begin", "open"}] == starts
    assert [turn for turn, _ in log[:2]] == [0, 0]
    assert [turn for turn, _ in log[-2:]] == [1, 1]


def test_no_row_is_always_loaded_before_the_others() -> None:
    # The process that is loaded first may be slower than the others for its whole life.
    log: list[Any] = []
    run([FakeRow(name, log) for name in "abc"], log, max_seconds=1000, processes=7, rounds=1)
    for step in ("begin", "open"):
        order = "".join(each[1] for each in log if each[0] == step)
        starts = [order[place : place + 3] for place in range(0, len(order), 3)]
        assert starts == ["cba", "bca", "acb", "cab", "bac", "abc"]


def test_a_file_that_takes_long_to_load_keeps_its_process_and_its_rounds() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("compiled", log, load_seconds=51)]
    run(rows, log, max_seconds=150, processes=3, rounds=4)
    assert [turns_of(row) for row in rows] == [[4, 4, 4], [12]]
    baselines = rows[1].speedup(rows[0], 1)
    assert baselines.processes == 1
    quick = FakeRow("compiled", log, load_seconds=50)
    run([quick], log, max_seconds=150, processes=3, rounds=4)
    assert turns_of(quick) == [4, 4, 4]


def test_precise_rows_get_no_further_process_but_not_before_their_spread_is_known() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("other", log)]
    run(rows, log, max_seconds=1000, processes=50, rounds=1)
    assert [turns_of(row) for row in rows] == [[1] * PROCESSES_BEFORE_FIRST_CHECK] * 2


def test_only_an_imprecise_row_and_its_baseline_get_another_process() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("precise", log), FakeRow("restless", log, noise=0.5)]
    run(rows, log, max_seconds=10_000, processes=20, rounds=2)
    assert [len(turns_of(row)) for row in rows] == [20, PROCESSES_BEFORE_FIRST_CHECK, 20]


@pytest.mark.parametrize("names", [("eager", "eager"), ("fast_int8", "fast_int8")])
def test_the_given_pairs_decide_who_gets_another_process(names: tuple[str, str]) -> None:
    log: list[Any] = []
    here, there = FakeRow(names[0], log, noise=0.5), FakeRow(names[1], log)
    # Precise beside its own pair, although imprecise beside the baseline and the fp32 row.
    quiet = [FakeRow(name, log, runtime="fast") for name in ("eager", "fast_fp32")]
    rows = [here, there, *quiet]
    pairs = [(there, here), tuple(quiet)]
    run(rows, log, pairs=pairs, max_seconds=10_000, processes=20, rounds=1)
    assert [len(turns_of(row)) for row in rows] == [20, 20, *[PROCESSES_BEFORE_FIRST_CHECK] * 2]


def test_a_row_whose_given_pair_failed_gets_no_further_process() -> None:
    log: list[Any] = []
    here, there = FakeRow("onnx", log), FakeRow("onnx", log)
    there.ok = False
    run([here, there], log, pairs=[(there, here)], max_seconds=10_000, processes=20, rounds=1)
    assert len(turns_of(here)) == PROCESSES_BEFORE_FIRST_CHECK


@pytest.mark.parametrize("failed", [True, False])
def test_rows_that_nothing_is_compared_with_get_all_processes(failed: bool) -> None:
    log: list[Any] = []
    baseline, *others = (FakeRow(name, log) for name in ("eager", "other", "third"))
    baseline.ok = not failed
    run([baseline, *others], log, max_seconds=10_000, processes=12, rounds=1)
    expected = 12 if failed else PROCESSES_BEFORE_FIRST_CHECK
    assert [len(turns_of(row)) for row in others] == [expected] * 2


def test_a_row_that_nothing_is_compared_with_keeps_a_process_that_takes_long_to_load() -> None:
    log: list[Any] = []
    rows = [FakeRow("compiled", log, load_seconds=1000), FakeRow("other", log)]
    run(rows, log, max_seconds=1000, processes=12, rounds=1)
    assert [turns_of(row) for row in rows] == [[PROCESSES_BEFORE_FIRST_CHECK], [1] * 12]


def test_rows_without_rounds_in_common_get_another_process() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("other", log)]
    rows[1].speedup = lambda *_: None  # type: ignore[method-assign]
    run(rows, log, max_seconds=10_000, processes=12, rounds=1)
    assert [len(turns_of(row)) for row in rows] == [12, 12]


def test_precision_is_checked_only_after_fixed_numbers_of_processes() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("other", log)]
    looked = PROCESSES_BEFORE_FIRST_CHECK + PROCESSES_BETWEEN_CHECKS
    # Too imprecise at the first look; precise soon after.
    rows[1].draw = lambda: 1.2 if rows[1].process == 1 else 1.0  # type: ignore[method-assign]
    run(rows, log, max_seconds=10_000, processes=50, rounds=1, precision=0.04)
    assert [len(turns_of(row)) for row in rows] == [looked, looked]


def test_a_row_with_one_process_gets_no_further_process() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("compiled", log, load_seconds=1000)]
    run(rows, log, max_seconds=1000, processes=50, rounds=1)
    assert len(turns_of(rows[0])) == PROCESSES_BEFORE_FIRST_CHECK


@pytest.mark.parametrize("processes", [2, 4])
def test_the_time_limit_is_shared_by_processes_and_batches(processes: int) -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("other", log)]
    run(rows, log, batches=2, max_seconds=80 * processes, processes=processes, rounds=100)
    for size in (1, 2):
        for count in turns_of(rows[0], size):
            # 80 s a process, for two rows and two batches: 20 rounds, less what starting takes.
            assert 17 <= count <= 21


def test_after_the_time_limit_no_process_starts_and_each_batch_gets_a_few_rounds() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("other", log)]
    run(rows, log, batches=2, max_seconds=1)
    assert [turns_of(rows[0], size) for size in (1, 2)] == [[LEAST_ROUNDS]] * 2


def test_a_process_that_started_late_gets_a_few_rounds() -> None:
    log: list[Any] = []
    rows = [FakeRow("eager", log), FakeRow("other", log)]
    # Three rounds of two rows at two batches take 12 s, more than the 8 s of each process.
    run(rows, log, batches=2, max_seconds=24, processes=3)
    assert [turns_of(rows[0], size) for size in (1, 2)] == [[LEAST_ROUNDS] * 2] * 2


def test_the_order_goes_on_rotating_from_process_to_process() -> None:
    log: list[Any] = []
    run([FakeRow(name, log) for name in "abc"], log, max_seconds=1000, processes=2, rounds=3)
    order = [name for turn, name in log if turn not in {"begin", "open"}]
    assert "".join(order) == "abccbabcaacbcabbac"


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
    counterparts = [schedule.counterpart_of(row) for row in rows]
    assert [counterpart and counterpart.name for counterpart in counterparts] == [
        None,
        None,
        "fast_fp32",
        None,
    ]


def test_a_twin_in_fp32_is_no_counterpart() -> None:
    log: list[Any] = []
    rows: Any = [
        FakeRow("fast_fp32_twin", log, runtime="fast", is_of_twin=True),
        FakeRow("fast_int8", log, runtime="fast", precision="int8"),
        FakeRow("fast_int8_twin", log, runtime="fast", precision="int8", is_of_twin=True),
        FakeRow("fast_fp32", log, runtime="fast"),
    ]
    schedule = Schedule(rows, BenchmarkOptions(), lambda *_: None)
    counterparts = [schedule.counterpart_of(row) for row in rows]
    assert [counterpart and counterpart.name for counterpart in counterparts] == [
        None,
        "fast_fp32",
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
    baselines: list[Any] = [schedule.baseline_of(gpu_row), schedule.reference_of(gpu_row)]
    assert baselines == [on_gpu, on_gpu]


def test_rows_are_not_compared_with_a_baseline_that_failed_meanwhile() -> None:
    log: list[Any] = []
    baseline, other = FakeRow("eager", log), FakeRow("other", log)
    rows: Any = [baseline, other]
    schedule = Schedule(rows, BenchmarkOptions(), lambda *_: None)
    row: Any = other
    assert schedule.baseline_of(row) is not None
    baseline.ok = False
    assert schedule.baseline_of(row) is schedule.reference_of(row) is None


class TimedRow(FakeRow):
    """A row whose pipelines are logged too."""

    pipeline: Any = SimpleNamespace(reason=None)
    warmup_seconds = 0.0  # limit of its warm-up

    def time_pipeline(self, files: Any, number: int, options: BenchmarkOptions) -> None:
        assert not self.begun
        self.warmup_seconds = options.warmup_seconds
        self.log.append(("pipeline", number, self.name))


class FakePipeline:
    """Rounds of a pipeline whose processes differ as the row is told; a failed one has none."""

    def __init__(self, noise: float, reason: str | None = None) -> None:
        self.noise, self.reason = noise, reason
        self.rounds: dict[int, Turn] = {}
        self.generator = np.random.default_rng(1)
        self.seconds: dict[int, float] = {}  # by process

    def time(self, number: int, process: int) -> None:
        if self.reason is None:
            drawn = float(np.exp(self.noise * self.generator.normal()))
            seconds = self.seconds.setdefault(process, drawn)
            self.rounds[number] = Turn(
                seconds=[seconds], elapsed_seconds=seconds, cpu_seconds=0.0, process=process
            )

    def over(self, baseline: FakePipeline) -> Any:
        return speedup(baseline.rounds, self.rounds)


class PipelineRow(TimedRow):
    """A row with a pipeline of its own noise."""

    def __init__(
        self, name: str, log: list[Any], noise: float = 0.0, reason: str | None = None
    ) -> None:
        super().__init__(name, log)
        self.pipeline = FakePipeline(noise, reason)

    def time_pipeline(self, files: Any, number: int, options: BenchmarkOptions) -> None:
        super().time_pipeline(files, number, options)
        self.pipeline.time(number, self.process)


def run_pipelines(rows: Any, log: list[Any], **options: Any) -> list[int]:
    """Return how many processes timed the calls of each row."""
    schedule = Schedule(
        rows,
        BenchmarkOptions(max_seconds=10_000, processes=12, rounds=2, **options),
        lambda *_: None,
        clock=lambda: float(len(log)),
    )
    schedule.run([IMAGES], files=pictures(are_files=True))
    return [row.process + 1 for row in rows]


def test_a_row_whose_pipeline_is_imprecise_gets_another_process_where_it_decides() -> None:
    log: list[Any] = []
    rows = [
        PipelineRow("eager", log),
        PipelineRow("precise", log),
        PipelineRow("restless", log, noise=0.2),
        PipelineRow("without", log, reason="it broke"),
    ]
    least = PROCESSES_BEFORE_FIRST_CHECK
    assert run_pipelines(rows, log) == [12, least, 12, least]
    # The calls are precise, so the further processes time the pipelines alone.
    assert [len(turns_of(row)) for row in rows] == [least] * 4
    assert len(rows[2].pipeline.seconds) == 12


def test_an_imprecise_pipeline_asks_for_no_process_where_the_call_decides() -> None:
    log: list[Any] = []
    rows = [PipelineRow("eager", log), PipelineRow("restless", log, noise=0.2)]
    assert run_pipelines(rows, log, objective="latency") == [PROCESSES_BEFORE_FIRST_CHECK] * 2


@pytest.mark.parametrize(("embedded", "failed", "parts"), [(0, 0, 12), (3, 0, 15), (3, 4, 11)])
def test_the_warm_ups_of_many_rows_leave_the_time_of_a_process_to_its_turns(
    embedded: int, failed: int, parts: int
) -> None:
    log: list[Any] = []
    rows: Any = [TimedRow(f"row {number}", log) for number in range(12)]
    for row in rows[:embedded]:
        row.embedded = SimpleNamespace(is_answering=True)
    for row in rows[12 - failed :]:
        row.pipeline = SimpleNamespace(reason="it broke")
    options = BenchmarkOptions(rounds=1, processes=5, max_seconds=60.0)
    schedule = Schedule(rows, options, lambda *_: None, clock=lambda: 0.01 * len(log))
    schedule.run([IMAGES], files=pictures(are_files=True))
    assert [row.warmup_seconds for row in rows] == pytest.approx([0.02 * 12 / parts] * 12)


def test_pipelines_without_that_of_the_baseline_get_all_processes() -> None:
    log: list[Any] = []
    rows = [PipelineRow("eager", log, reason="it broke"), PipelineRow("other", log)]
    assert run_pipelines(rows, log) == [PROCESSES_BEFORE_FIRST_CHECK, 12]


def pictures(*, are_files: bool = False) -> Any:
    """Return a sample of images, which are files or are not."""
    return SimpleNamespace(sample=SimpleNamespace(facts=SimpleNamespace(are_files=are_files)))


@pytest.mark.parametrize(
    ("objective", "are_files", "share"),
    [
        (None, False, 1 / 9),  # with two batch sizes, each of four times this part
        (None, True, 1 / 3),
        ("pipeline", False, 1 / 3),
        ("latency", True, 1 / 9),
    ],
)
def test_pipelines_have_the_time_of_a_batch_size_where_they_decide(
    objective: Objective | None, are_files: bool, share: float
) -> None:
    log: list[Any] = []
    rows: Any = [TimedRow("a", log), TimedRow("b", log)]
    options = BenchmarkOptions(
        rounds=10_000, processes=2, max_seconds=3600, objective=objective, batch_sizes=[1, 2]
    )
    schedule = Schedule(rows, options, lambda *_: None, clock=lambda: float(len(log)))
    batches = [np.zeros((size, 3, 8, 8), np.float32) for size in options.batch_sizes]
    schedule.run(batches, files=pictures(are_files=are_files))
    turns = sum(entry[0] == "pipeline" for entry in log)
    assert turns / len(log) == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(
    ("rounds", "seconds", "expected"),
    [(6, 1e9, [6, 6]), (1, 1e9, [1, 1]), (6, 20, [2, 1]), (6, 0.1, [2])],
)
def test_pipelines_are_timed_last_in_each_process(
    rounds: int, seconds: float, expected: list[int]
) -> None:
    log: list[Any] = []
    rows: Any = [TimedRow("a", log), TimedRow("b", log)]
    options = BenchmarkOptions(rounds=rounds, processes=2, max_seconds=seconds)
    schedule = Schedule(rows, options, lambda *_: None, clock=lambda: float(len(log)))
    schedule.run([IMAGES], files=pictures())
    timed = [entry for entry in log if entry[0] == "pipeline"]
    numbers = range(sum(expected))
    names = [[row.name for row in rotated(rows, number)] for number in numbers]
    assert timed == [
        ("pipeline", number, name)
        for number, in_order in zip(numbers, names, strict=True)
        for name in in_order
    ]
    begins = [at for at, entry in enumerate(log) if entry[0] == "begin"]
    ends = [*begins[::2], len(log)]
    for end, count in zip(ends, expected, strict=True):
        assert [entry[0] for entry in log[end - 2 * count : end]] == ["pipeline"] * 2 * count


def test_a_failed_row_is_left_out_of_pipelines() -> None:
    log: list[Any] = []
    rows: Any = [TimedRow("a", log), TimedRow("b", log)]
    rows[1].ok = False
    schedule = Schedule(rows, BenchmarkOptions(processes=1), lambda *_: None, clock=lambda: 0.0)
    schedule.run([IMAGES], files=pictures())
    assert {entry[-1] for entry in log if entry[0] == "pipeline"} == {"a"}
    rows[0].ok = False
    schedule.run([IMAGES], files=pictures())
