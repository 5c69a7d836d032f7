"""Everything that could be shipped: each measured file of each run, and the best for a limit."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from src.benchmark.statistics.verdict import keeps_budget
from src.compare.collection import Measured
from src.compare.comparability import Exam, Place, exams_of, place_of
from src.errors import UsageError
from src.report import pareto
from src.run import row as records
from src.run.latency import Cell
from src.run.reading import convert

Row = dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """One file on one device, with its figures at one batch size."""

    run: str
    model: str
    row: Row
    cell: Row
    place: Place
    exam: Exam
    baseline: str

    @functools.cached_property
    def record(self) -> records.Row:
        """The row as a record, which the report takes."""
        return convert(self.row, records.Row)

    @property
    def timing(self) -> Cell:
        """The record of the cell."""
        return convert(self.cell, Cell)

    @property
    def name(self) -> str:
        return f"{self.model} as {self.row['format']}"

    @property
    def is_baseline(self) -> bool:
        return bool(self.row["format"] == self.baseline)

    @property
    def keeps(self) -> bool:
        """Whether it is shown to keep the accuracy budget of its run; a baseline does."""
        return keeps_budget(self.row, self.baseline)


def batch_size(found: Sequence[Measured], wanted: int | None) -> int:
    """The batch size to compare at: the smallest that all runs have.

    Raises:
        UsageError: they have none in common, or not the one that is wanted.
    """
    sizes = [
        {cell["batch_size"] for row in each.results["rows"] for cell in row["latency"]}
        for each in found
    ]
    common = set.intersection(*sizes)
    if wanted is None and common:
        return int(min(common))
    if wanted is not None and wanted in common:
        return wanted
    told = "; ".join(
        f"{each.name} {sorted(size) or 'none'}" for each, size in zip(found, sizes, strict=True)
    )
    raise UsageError(
        "--batch",
        expected="a batch size that every run was timed at",
        found=f"{'none in common' if wanted is None else wanted}: {told}",
        remedy="measure with the same benchmark.batch_sizes",
    )


def candidates(found: Sequence[Measured], size: int) -> list[Candidate]:
    """Every row with figures at this batch size, the fastest first."""
    return sorted(_candidates(found, size), key=lambda each: each.cell["p50_s"])


def _candidates(found: Sequence[Measured], size: int) -> Iterator[Candidate]:
    exams = exams_of([each.results for each in found])
    for each, exam in zip(found, exams, strict=True):
        for row in each.results["rows"]:
            if row["status"] != "ok" or not row["accuracy"]:
                continue
            for cell in row["latency"]:
                if cell["batch_size"] == size:
                    yield Candidate(
                        each.name,
                        each.results["model"],
                        row,
                        cell,
                        place_of(each.results, row["device"]),
                        exam,
                        each.results["baseline"],
                    )


def groups(among: Sequence[Candidate]) -> dict[tuple[Place, Exam], list[Candidate]]:
    """Those that may be ranked with each other: timed in one place, scored on the same."""
    found: dict[tuple[Place, Exam], list[Candidate]] = {}
    for each in among:
        found.setdefault((each.place, each.exam), []).append(each)
    return dict(sorted(found.items()))


def front(group: Sequence[Candidate]) -> list[Candidate]:
    """The Pareto front over every model and format of a group, from the fastest on."""
    points = [(each.cell["p50_s"], each.row["accuracy"]["top1"]) for each in group]
    return [group[index] for index in pareto.front(points)]


def within(group: Sequence[Candidate], seconds: float) -> Candidate | None:
    """The most accurate below a latency, of what keeps its accuracy budget; then the faster."""
    fast = [each for each in group if each.keeps and each.cell["p50_s"] < seconds]
    return max(
        fast, key=lambda each: (each.row["accuracy"]["top1"], -each.cell["p50_s"]), default=None
    )
