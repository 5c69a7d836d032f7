"""Options of the benchmark stage."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from src.errors import UsageError
from src.run.circumstances import MeasuringOptions
from src.run.record import Device
from src.run.results import Objective
from src.system import machine
from src.system.ranges import (
    AccuracyDrop,
    OptionalPositiveInt,
    PositiveFloat,
    PositiveInt,
    require_ranges,
)


@dataclass(frozen=True)
class BenchmarkOptions:
    """Options of the measurement of exported files.

    Args:
        batch_sizes: images at once, a latency figure for each.
        devices: where rows are measured, as far as their formats run there and the machine has it.
        threads: intra-op threads of every runtime; by default all usable cores.
        precision: a row gets no further process once the 95 % intervals of its speed-ups are
            within this share of them, which is looked at after 8 processes, then after each 4.
        processes: in which each row is timed, one after the other, at most. Intervals are over
            them: more of them make these narrower, and more rounds do not. A file that
            takes longer to load than ``max_seconds / processes`` keeps its first process, and its
            row says so.
        rounds: turns that each row gets at each batch size in each of its processes, in an order
            that rotates, at most.
        samples: timed calls in each turn, at most.
        turn_seconds: timed seconds in each turn, at most.
        max_seconds: for all timing together, the start of further processes included; once it is
            spent there are no further rounds, but for the first few of each batch size.
        warmup_seconds: what a process may take to reach a steady speed at each batch size.
        timeout_seconds: what one answer of a row may take before the row fails.
        max_memory_bytes: what a row's process may hold before it fails; by default nine
            tenths of the memory of the machine or container.
        max_accuracy_drop: the top-1 accuracy that a row may give up, a share of 1: 0.01 is one
            point. A row passes when the test images show, at a risk of 5 %, that it gives up
            no more.
        loads_at_once: how many rows load their file at the same time. More than 1 saves minutes
            where there are many cores and rows that compile; then load times are those of busy
            cores.
        memory: measure the peak memory of each row at each batch size, in a fresh process each,
            which takes as long as loading the file and a few calls.
        objective: what the recommendation is the best at.
        baseline: the format that speed and accuracy are compared with.
        trace: write a trace of some calls of each row, after it was timed, into the run's
            ``profile/inference``, and show its operators.
        strict: exit with an error when a row failed.
        again: measure once more what these options have measured already.
    """

    batch_sizes: list[PositiveInt] = field(default_factory=lambda: [1, 8])
    devices: list[Device] = field(default_factory=lambda: ["cpu", "cuda"])
    threads: OptionalPositiveInt = None
    precision: PositiveFloat = 0.02
    processes: PositiveInt = 5
    rounds: PositiveInt = 6
    samples: PositiveInt = 100
    turn_seconds: PositiveFloat = 0.1
    max_seconds: PositiveFloat = 65.0
    warmup_seconds: PositiveFloat = 2.0
    timeout_seconds: PositiveFloat = 120.0
    max_memory_bytes: OptionalPositiveInt = None
    max_accuracy_drop: AccuracyDrop = 0.01
    loads_at_once: PositiveInt = 1
    memory: bool = True
    objective: Objective = "latency"
    baseline: str = "eager"
    trace: bool = False
    strict: bool = False
    again: bool = False

    def __post_init__(self) -> None:
        require_ranges(self, "benchmark")
        if self.objective == "memory" and not self.memory:
            raise UsageError(
                "benchmark.objective",
                expected="benchmark.memory=true beside memory, which has to be measured",
                found="benchmark.memory=false",
                remedy="add benchmark.memory=true, or leave it out of the command",
            )
        if not self.batch_sizes:
            raise UsageError(
                "benchmark.batch_sizes",
                expected="at least one size",
                found="none",
                remedy="set for example benchmark.batch_sizes=[1]",
            )
        if len(set(self.batch_sizes)) < len(self.batch_sizes):
            raise UsageError(
                "benchmark.batch_sizes",
                expected="each size once",
                found=str(self.batch_sizes),
                remedy="name each size once",
            )
        if not self.devices:
            raise UsageError(
                "benchmark.devices",
                expected="at least one of cpu and cuda",
                found="none",
                remedy="leave it out for both",
            )

    @property
    def effective_threads(self) -> int:
        """Intra-op threads that every runtime is told to use."""
        return self.threads or machine.usable_cores()

    @property
    def memory_limit(self) -> int:
        """Resident bytes of one worker process."""
        return self.max_memory_bytes or machine.memory_bytes() * 9 // 10

    def record(self) -> MeasuringOptions:
        """Return the same as a measurement keeps them."""
        return MeasuringOptions(**asdict(self))
