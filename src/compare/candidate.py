"""Candidates to ship: the measured files of all runs, and the best one below a latency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from src.benchmark.statistics.verdict import keeps_budget
from src.compare.collection import Measured, TakenExam
from src.compare.comparability import (
    Testbed,
    TestSet,
    test_set_of_exam,
    test_sets_of,
    testbed_of,
    testbed_of_cpu,
)
from src.errors import UsageError
from src.report import pareto
from src.run.accuracy import Accuracy
from src.run.exam import BATCH_SIZE as EXAM_BATCH_SIZE
from src.run.latency import Cell
from src.run.row import Row


@dataclass(frozen=True)
class Candidate:
    """One file on one device, with its figures at one batch size."""

    run: str
    model: str
    row: Row
    accuracy: Accuracy  # of the row
    cell: Cell  # of the row at the batch size
    testbed: Testbed
    test_set: TestSet
    baseline: str | None  # None for an exam: its row is judged even if it is the baseline
    budget: float  # of accuracy, that its verdict is by: a share of 1
    network: str  # SHA-256 of the checkpoint
    holds: bool = True  # False for an exam that found a problem with the file
    embedded: bool = False  # of an exam: a call of the file has the resizing in it
    of_exam: bool = False  # taken by a bundle

    @property
    def key(self) -> tuple[str, str, str]:
        """Run, format and device, which are unique among the candidates."""
        return self.run, *self.row.key

    @property
    def name(self) -> str:
        return f"{self.model} as {file_name(self.row, embedded=self.embedded)}"

    @property
    def is_baseline(self) -> bool:
        return self.row.format == self.baseline

    @property
    def is_ranked(self) -> bool:
        """True if its call does the same work as that of the others, and it holds."""
        return self.holds and not self.embedded

    @property
    def keeps_budget(self) -> bool:
        """True if the row is shown to keep the accuracy budget of its run, or is the baseline.

        The row of an exam must hold there too, and be ranked.
        """
        return self.is_ranked and keeps_budget(self.row, self.baseline)


def file_name(row: Row, *, embedded: bool = False) -> str:
    """Return the name of a row's file, which tells an input other than the network's own.

    Args:
        row: the row.
        embedded: the file has its preprocessing inside; the name is then that of its folder.
    """
    if embedded:
        return f"{row.format}_embedded"
    pixels = row.input is not None and row.input.is_pixels
    return f"{row.format}, uint8 input" if pixels else row.format


def batch_size(
    measurements: Sequence[Measured], requested: int | None, exams: Sequence[TakenExam] = ()
) -> int:
    """Return the batch size to compare at.

    Args:
        measurements: of one run each.
        exams: that were taken elsewhere.
        requested: batch size in images; None for the smallest that all runs have.

    Raises:
        UsageError: the runs have no batch size in common, or not all have the requested one.
    """
    exams = [taken for taken in exams if taken.record.cell is not None]
    rows = {measured.name: measured.results.rows for measured in measurements}
    rows |= {str(taken.path): taken.record.rows for taken in exams}
    if not rows:
        raise UsageError(
            "RUN",
            expected="a run, or an exam with times",
            found="exams of answers alone, taken with --answers",
            remedy="name the run that they came from as well",
        )
    sizes = [{cell.batch_size for row in those for cell in row.latency} for those in rows.values()]
    common = set.intersection(*sizes)
    if requested is None and common:
        return min(common)
    if requested is not None and requested in common:
        return requested
    timed_at = "; ".join(
        f"{name} {sorted(size) or 'none'}" for name, size in zip(rows, sizes, strict=True)
    )
    raise UsageError(
        "--batch",
        expected="a batch size that every run was timed at",
        found=f"{'none in common' if requested is None else requested}: {timed_at}",
        remedy=_remedy(sizes[: len(measurements)], has_exams=bool(exams)),
    )


def _remedy(sizes: Sequence[set[int]], *, has_exams: bool) -> str:
    """Return the remedy for runs of these batch sizes that lack a common or the requested one."""
    if not has_exams:
        return "measure with the same benchmark.batch_sizes"
    told = f"exams are timed at batch size {EXAM_BATCH_SIZE}"
    if not all(EXAM_BATCH_SIZE in of_run for of_run in sizes):
        return f"{told}: measure every run at it too, with benchmark.batch_sizes"
    return f"{told}: leave out --batch"


def candidates(
    measurements: Sequence[Measured], size: int, exams: Sequence[TakenExam] = ()
) -> list[Candidate]:
    """Return every row with figures at this batch size, the fastest first."""
    all_candidates = [*_candidates(measurements, size), *_of_exams(exams, size)]
    return sorted(all_candidates, key=lambda candidate: candidate.cell.p50_s)


def _of_exams(exams: Sequence[TakenExam], size: int) -> Iterator[Candidate]:
    for number, taken in enumerate(exams, 1):
        exam, row = taken.record, taken.record.row
        cell = row.cell(size)
        if row.accuracy and cell:
            yield Candidate(
                f"{exam.run}, exam{'' if len(exams) == 1 else f' {number}'}",
                exam.model,
                row,
                row.accuracy,
                cell,
                testbed_of_cpu(exam.environment),
                test_set_of_exam(exam),
                None,
                exam.max_accuracy_drop,
                exam.checkpoint_sha256,
                exam.holds,
                exam.embedded,
                of_exam=True,
            )


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
                    results.options.max_accuracy_drop,
                    results.checkpoint.sha256,
                )


def groups(all_candidates: Sequence[Candidate]) -> dict[tuple[Testbed, TestSet], list[Candidate]]:
    """Group candidates of the same testbed and test set, which may be ranked with each other."""
    groups: dict[tuple[Testbed, TestSet], list[Candidate]] = {}
    for candidate in all_candidates:
        groups.setdefault((candidate.testbed, candidate.test_set), []).append(candidate)
    return dict(sorted(groups.items()))


def front(group: Sequence[Candidate]) -> list[Candidate]:
    """Return the Pareto front of latency and top-1 of what is ranked, the fastest first."""
    ranked = [candidate for candidate in group if candidate.is_ranked]
    points = [(candidate.cell.p50_s, candidate.accuracy.top1) for candidate in ranked]
    return [ranked[index] for index in pareto.front(points)]


def within(group: Sequence[Candidate], seconds: float) -> list[Candidate]:
    """Return the candidates below a latency in seconds that keep their accuracy budget."""
    return [
        candidate
        for candidate in group
        if candidate.keeps_budget and candidate.cell.p50_s < seconds
    ]


def best_within(group: Sequence[Candidate], seconds: float) -> Candidate | None:
    """Return the most accurate candidate below a latency in seconds; None if there is none.

    It must keep its accuracy budget. Of equally accurate candidates the fastest is returned.
    """
    return max(
        within(group, seconds),
        key=lambda candidate: (candidate.accuracy.top1, -candidate.cell.p50_s),
        default=None,
    )
