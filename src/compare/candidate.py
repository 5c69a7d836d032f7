"""Everything that could be shipped: each measured file of each run, and the best for a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from src.benchmark.statistics.verdict import keeps_budget
from src.compare.collection import Measured
from src.compare.comparability import Testbed, TestSet, test_sets_of, testbed_of
from src.errors import UsageError
from src.report import pareto
from src.run.accuracy import Accuracy
from src.run.latency import Cell
from src.run.row import Row


@dataclass(frozen=True)
class Candidate:
    """One file on one device, with its figures at one batch size."""

    run: str
    model: str
    row: Row
    accuracy: Accuracy  # the row's
    cell: Cell  # the row's, at the batch size
    testbed: Testbed
    test_set: TestSet
    baseline: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Run, format and device, which no other candidate has."""
        return self.run, *self.row.key

    @property
    def name(self) -> str:
        return f"{self.model} as {self.row.format}"

    @property
    def is_baseline(self) -> bool:
        return self.row.format == self.baseline

    @property
    def keeps(self) -> bool:
        """True if it is shown to keep the accuracy budget of its run; a baseline does."""
        return keeps_budget(self.row, self.baseline)


def batch_size(measurements: Sequence[Measured], wanted: int | None) -> int:
    """Return the batch size to compare at: the smallest that all runs have.

    Raises:
        UsageError: they have none in common, or not the one that is wanted.
    """
    sizes = [
        {cell.batch_size for row in measured.results.rows for cell in row.latency}
        for measured in measurements
    ]
    common = set.intersection(*sizes)
    if wanted is None and common:
        return min(common)
    if wanted is not None and wanted in common:
        return wanted
    timed_at = "; ".join(
        f"{measured.name} {sorted(size) or 'none'}"
        for measured, size in zip(measurements, sizes, strict=True)
    )
    raise UsageError(
        "--batch",
        expected="a batch size that every run was timed at",
        found=f"{'none in common' if wanted is None else wanted}: {timed_at}",
        remedy="measure with the same benchmark.batch_sizes",
    )


def candidates(measurements: Sequence[Measured], size: int) -> list[Candidate]:
    """Return every row with figures at this batch size, the fastest first."""
    return sorted(_candidates(measurements, size), key=lambda candidate: candidate.cell.p50_s)


def _candidates(measurements: Sequence[Measured], size: int) -> Iterator[Candidate]:
    test_sets = test_sets_of([measured.results for measured in measurements])
    for measured, test_set in zip(measurements, test_sets, strict=True):
        results = measured.results
        for row in results.rows:
            cell = row.cell(size)
            if row.is_ok and row.accuracy and cell:
                yield Candidate(
                    measured.name,
                    results.model,
                    row,
                    row.accuracy,
                    cell,
                    testbed_of(results, row.device),
                    test_set,
                    results.baseline,
                )


def groups(among: Sequence[Candidate]) -> dict[tuple[Testbed, TestSet], list[Candidate]]:
    """Return those that may be ranked with each other: of one testbed and one test set."""
    groups: dict[tuple[Testbed, TestSet], list[Candidate]] = {}
    for candidate in among:
        groups.setdefault((candidate.testbed, candidate.test_set), []).append(candidate)
    return dict(sorted(groups.items()))


def front(group: Sequence[Candidate]) -> list[Candidate]:
    """Return the Pareto front over every model and format of a group, from the fastest on."""
    points = [(candidate.cell.p50_s, candidate.accuracy.top1) for candidate in group]
    return [group[index] for index in pareto.front(points)]


def within(group: Sequence[Candidate], seconds: float) -> Candidate | None:
    """Return the most accurate below a latency that keeps its accuracy budget, then the faster."""
    fast = [candidate for candidate in group if candidate.keeps and candidate.cell.p50_s < seconds]
    return max(
        fast,
        key=lambda candidate: (candidate.accuracy.top1, -candidate.cell.p50_s),
        default=None,
    )
