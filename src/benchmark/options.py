"""How to measure: the options of the benchmark stage, wherever they are given."""

from __future__ import annotations

from dataclasses import dataclass, field

from src import machine
from src.errors import UsageError


@dataclass(frozen=True)
class BenchmarkOptions:
    """How the exported files are measured.

    Args:
        batch_sizes: images at once, a latency figure for each.
        threads: intra-op threads of every runtime; by default all usable cores.
        rounds: turns that each row gets, in an order that rotates.
        samples: timed calls in each turn, at most.
        turn_seconds: timed seconds in each turn, at most.
        max_seconds: for all timing together; once it is spent there are no further rounds,
            but for the second of each batch size.
        warmup_seconds: untimed calls at the start of each turn.
        timeout_seconds: what one answer of a row may take before the row fails.
        baseline: the format that speed and accuracy are compared with.
        strict: exit with an error when a row failed.
    """

    batch_sizes: list[int] = field(default_factory=lambda: [1, 8])
    threads: int | None = None
    rounds: int = 10
    samples: int = 70
    turn_seconds: float = 0.4
    warmup_seconds: float = 0.05
    max_seconds: float = 60.0
    timeout_seconds: float = 120.0
    baseline: str = "eager"
    strict: bool = False

    def __post_init__(self) -> None:
        for name in ("rounds", "samples", "turn_seconds", "max_seconds", "timeout_seconds"):
            _require_positive(name, getattr(self, name))
        for size in self.batch_sizes:
            _require_positive("batch_sizes", size)
        if not self.batch_sizes:
            raise UsageError(
                "benchmark.batch_sizes",
                expected="at least one size",
                found="none",
                remedy="set for example benchmark.batch_sizes=[1]",
            )
        if self.threads is not None:
            _require_positive("threads", self.threads)

    @property
    def effective_threads(self) -> int:
        """Intra-op threads that every runtime is told to use."""
        return self.threads or machine.usable_cores()


def _require_positive(name: str, value: float) -> None:
    if value <= 0:
        raise UsageError(
            f"benchmark.{name}",
            expected="a positive number",
            found=str(value),
            remedy=f"leave out benchmark.{name} for its default",
        )
