"""Comparison of runs: one table with a latency column per testbed, and the file to ship."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from src.compare import conditions, embedded, file_to_ship
from src.compare.candidate import Candidate, batch_size, candidates, front, groups
from src.compare.collection import Measured, TakenExam
from src.compare.comparability import Testbed, TestSet, assumed_same
from src.compare.exam_result import exam_in_words
from src.errors import one_line
from src.report.document import MISSING, Cell, Column, text_column
from src.report.sections import verdicts
from src.report.sections.measurements import cause_of
from src.report.sections.recommendation import points
from src.report.sections.rows import Order, name_of
from src.report.sections.unmeasured import folded


@dataclass(frozen=True)
class Comparison:
    """A comparison of several measurements.

    Args:
        measurements: of one run each.
        size: images per call.
        seconds: latency limit of the file to ship; None to search for none.
        exams: that bundles took elsewhere.
        left_out: reasons why further runs are not in it.
    """

    measurements: Sequence[Measured]
    size: int
    seconds: float | None = None
    exams: Sequence[TakenExam] = ()
    left_out: Sequence[str] = ()

    @classmethod
    def of(
        cls,
        measurements: Sequence[Measured],
        requested: int | None,
        seconds: float | None,
        exams: Sequence[TakenExam] = (),
        left_out: Sequence[str] = (),
    ) -> Comparison:
        """Compare at the requested batch size, by default the smallest that all have in common."""
        size = batch_size(measurements, requested, exams)
        return cls(measurements, size, seconds, exams, left_out)

    @property
    def candidates(self) -> list[Candidate]:
        return candidates(self.measurements, self.size, self.exams)

    @property
    def groups(self) -> dict[tuple[Testbed, TestSet], list[Candidate]]:
        return groups(self.candidates)

    @property
    def testbeds(self) -> list[Testbed]:
        return sorted({candidate.testbed for candidate in self.candidates})

    @property
    def test_sets(self) -> list[TestSet]:
        return sorted({candidate.test_set for candidate in self.candidates})

    @property
    def on_front(self) -> set[tuple[str, str, str]]:
        """Keys of the candidates on the Pareto front of their group."""
        return {best.key for group in self.groups.values() for best in front(group)}

    @property
    def order(self) -> Order[Candidate]:
        """The order of the table: the fastest first, by runtime if there are many."""
        return Order(self.candidates, lambda candidate: candidate.row)

    def rows(self) -> list[Candidate]:
        """Return the candidates in the order of the table."""
        return self.order.items

    def columns(self) -> list[Column[Candidate]]:
        """Return the columns of the table, from left to right."""
        shown: list[Column[Candidate]] = [
            text_column("file", lambda candidate: candidate.name),
            text_column("run", lambda candidate: candidate.run),
            text_column("device", lambda candidate: candidate.row.device),
            Column("size\nMB", _size, best=min),
        ]
        several = len(self.test_sets) > 1
        for number, test_set in enumerate(self.test_sets, 1):
            head = f"top-1 %\n{_letter('set', number)}" if several else "top-1\n%"
            shown.append(_column(head, _belongs_to_test_set(test_set), _top1, best=max))
        shown.append(
            Column("verdict", lambda candidate: verdicts.cell(candidate.row), is_text=True)
        )
        several = len(self.testbeds) > 1
        for number, testbed in enumerate(self.testbeds, 1):
            head = f"batch {self.size}\np50 ms" + (f"\n{_letter('place', number)}" * several)
            shown.append(_column(head, _belongs_to_testbed(testbed), _p50, best=min))
        on_front = self.on_front
        shown.append(
            text_column(
                "on the front", lambda candidate: "yes" if candidate.key in on_front else MISSING
            )
        )
        return shown

    def notes(self) -> list[str]:
        """Return notes that explain the columns, and why some figures are not ranked together."""
        notes = [f"Not compared, because it cannot be read: {reason}" for reason in self.left_out]
        if len(self.testbeds) > 1:
            named = "; ".join(
                f"{_letter('place', number)}: {testbed}"
                for number, testbed in enumerate(self.testbeds, 1)
            )
            notes.append(
                f"Latencies were measured in {len(self.testbeds)} places ({named}). Each has a "
                "column, a front and an answer of its own and they are not ranked together: how "
                "many threads and which instructions there are changes not only how fast a file "
                "is but which of two is the faster."
            )
        else:
            notes += [f"Latency: measured on {testbed}." for testbed in self.testbeds]
        if len(self.test_sets) > 1:
            named = "; ".join(
                f"{_letter('set', number)}: {test_set}"
                for number, test_set in enumerate(self.test_sets, 1)
            )
            notes.append(
                f"Accuracies were measured on {len(self.test_sets)} sets of images ({named}), "
                "which are not equally hard: they are not ranked together either."
            )
        else:
            notes += [f"Top-1: on {test_set}." for test_set in self.test_sets]
        notes += [
            f"{self.measurements[index].name} does not say which images it was scored on: that "
            "they are those of the other runs is taken from their name and number. Measure it "
            "again to know."
            for index in assumed_same([measured.results for measured in self.measurements])
        ]
        shapes = {
            "x".join(map(str, measured.results.input_shape[1:])) for measured in self.measurements
        }
        if len(shapes) > 1:
            sizes = ", ".join(sorted(shapes))
            notes.append(f"The networks see images of different sizes: {sizes}.")
        if len(self.measurements) > 1:
            notes.append(
                "Runs were measured one after the other. The speed of a machine changes from hour "
                "to hour, so a small lead of one run over another means little; leads within a run "
                "have intervals, in its own report."
            )
        notes += conditions.notes(self.measurements, self.exams)
        notes.append(
            "On the front: no other file of the same place and the same images is both faster and "
            "more accurate, whatever its model and format."
        )
        if any(embedded.files(measured.results) for measured in self.measurements):
            notes.append(
                "A file with its preprocessing inside has a table of its own: its call has the "
                "resizing in it, so it is timed from the image file to the label, and --under does "
                "not recommend it."
            )
        notes += embedded.notes(self.measurements)
        if any(candidate.embedded for candidate in self.candidates):
            notes.append(
                "The exam of a file with its preprocessing inside timed the resizing as well: it "
                "is not on the front, and --under does not recommend it."
            )
        notes += self._budgets()
        if not all(candidate.holds for candidate in self.candidates):
            notes.append("A file that does not hold at its exam is not on the front.")
        notes += self._failures()
        return [one_line(note) for note in notes]

    @property
    def _has_one_budget(self) -> bool:
        return len({candidate.budget for candidate in self.candidates}) <= 1

    def _budgets(self) -> Iterator[str]:
        """Yield a note on the accuracy budgets if the verdicts are by several ones."""
        if self._has_one_budget:
            return
        budgets = {candidate.run: points(candidate.budget) for candidate in self.candidates}
        named = "; ".join(f"{run}: {budget}" for run, budget in sorted(budgets.items()))
        yield (
            f"Verdicts are by the accuracy budget of each run ({named}), and so are the files that "
            "--under recommends: measure with one benchmark.max_accuracy_drop to judge all alike."
        )

    def _failures(self) -> list[str]:
        """Return a note on each row that failed, or a single one beside a long table."""
        failed = [
            (f"{measured.name}, {name_of(row)}", row)
            for measured in self.measurements
            for row in measured.results.rows
            if row.status == "failed"
        ]
        together = folded(failed) if self.order.is_long else None
        if together:
            return [together.line]
        return [f"{name}: failed ({row.reason})" for name, row in failed]

    def answers(self) -> list[str]:
        """Return sentences on each exam, and with the file to ship below the latency limit.

        Each is one line, whatever the names in the measurements are.
        """
        lines = [exam_in_words(taken, self.measurements) for taken in self.exams]
        if self.seconds is not None:
            lines += file_to_ship.sentences(
                self.groups, self.size, self.seconds, has_one_budget=self._has_one_budget
            )
        return [one_line(line) for line in lines]


def _letter(kind: str, number: int) -> str:
    """Return a label such as ``place A``; 27 gives AA."""
    letters = ""
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{kind} {letters}"


def _column(
    head: str,
    belongs: Callable[[Candidate], bool],
    figure: Callable[[Candidate], Cell],
    best: Any,
) -> Column[Candidate]:
    """Return a column with a figure of some candidates; it is empty for the others."""

    def cell(candidate: Candidate) -> Cell:
        return figure(candidate) if belongs(candidate) else Cell(MISSING)

    return Column(head, cell, best=best)


def _belongs_to_testbed(testbed: Testbed) -> Callable[[Candidate], bool]:
    return lambda candidate: candidate.testbed == testbed


def _belongs_to_test_set(test_set: TestSet) -> Callable[[Candidate], bool]:
    return lambda candidate: candidate.test_set == test_set


def _size(candidate: Candidate) -> Cell:
    size = candidate.row.size_bytes or 0
    return Cell(f"{size / 1e6:.1f}", value=size)


def _top1(candidate: Candidate) -> Cell:
    value = candidate.accuracy.top1
    return Cell(f"{100 * value:.2f}", value=value)


def _p50(candidate: Candidate) -> Cell:
    value = candidate.cell.p50_s
    return Cell(
        f"{1e3 * value:.2f}",
        mark=cause_of(candidate.cell) or "",
        value=value,
        competes=not candidate.embedded,
    )
