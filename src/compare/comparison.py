"""Runs side by side: one table with a latency column a place, the fronts, and the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from src.compare.candidate import Candidate, batch_size, candidates, front, groups, within
from src.compare.collection import Measured
from src.compare.comparability import Exam, Place, assumed
from src.report.document import MISSING, Cell, Column, text_column
from src.report.sections import verdicts
from src.report.sections.measurements import cause_of

Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """What can be said of several measurements together.

    Args:
        found: the measurements.
        size: images a call.
        seconds: below which latency a file is looked for; None to look for none.
    """

    found: Sequence[Measured]
    size: int
    seconds: float | None = None

    @classmethod
    def of(cls, found: Sequence[Measured], wanted: int | None, seconds: float | None) -> Comparison:
        """At the batch size that is wanted, or the smallest that all have in common."""
        return cls(found, batch_size(found, wanted), seconds)

    @property
    def candidates(self) -> list[Candidate]:
        return candidates(self.found, self.size)

    @property
    def groups(self) -> dict[tuple[Place, Exam], list[Candidate]]:
        return groups(self.candidates)

    @property
    def places(self) -> list[Place]:
        return sorted({each.place for each in self.candidates})

    @property
    def exams(self) -> list[Exam]:
        return sorted({each.exam for each in self.candidates})

    def rows(self) -> list[Row]:
        """A row a candidate, in the shape that the report's tables take."""
        best = {id(each.row) for group in self.groups.values() for each in front(group)}
        return [
            {
                **each.row,
                "candidate": each,
                "model": each.model,
                "run": each.run,
                "front": id(each.row) in best,
            }
            for each in self.candidates
        ]

    def columns(self) -> list[Column[Row]]:
        """What the table shows, from left to right."""
        shown: list[Column[Row]] = [
            text_column("file", lambda row: f"{row['model']} as {row['format']}"),
            text_column("run", lambda row: str(row["run"])),
            text_column("device", lambda row: str(row["device"])),
            Column(
                "size\nMB",
                lambda row: Cell(f"{row['size_bytes'] / 1e6:.1f}", value=row["size_bytes"]),
                best=min,
            ),
        ]
        several = len(self.exams) > 1
        for number, exam in enumerate(self.exams, 1):
            head = f"top-1 %\n{_letter('set', number)}" if several else "top-1\n%"
            shown.append(_column(head, exam, "exam", _top1, best=max))
        shown.append(
            Column("verdict", lambda row: verdicts.cell(row["candidate"].record), is_text=True)
        )
        several = len(self.places) > 1
        for number, place in enumerate(self.places, 1):
            head = f"batch {self.size}\np50 ms" + (f"\n{_letter('place', number)}" * several)
            shown.append(_column(head, place, "place", _p50, best=min))
        shown.append(text_column("on the front", lambda row: "yes" if row["front"] else MISSING))
        return shown

    def notes(self) -> list[str]:
        """What the columns are, and why some figures are not ranked with others."""
        notes = []
        if len(self.places) > 1:
            named = "; ".join(
                f"{_letter('place', number)}: {place}"
                for number, place in enumerate(self.places, 1)
            )
            notes.append(
                f"Latencies were measured in {len(self.places)} places ({named}). Each has a "
                "column, a front and an answer of its own and they are not ranked together: how "
                "many threads and which instructions there are changes not only how fast a file "
                "is but which of two is the faster."
            )
        else:
            notes += [f"Latency: measured on {place}." for place in self.places]
        if len(self.exams) > 1:
            named = "; ".join(
                f"{_letter('set', number)}: {exam}" for number, exam in enumerate(self.exams, 1)
            )
            notes.append(
                f"Accuracies were measured on {len(self.exams)} sets of images ({named}), which "
                "are not equally hard: they are not ranked together either."
            )
        else:
            notes += [f"Top-1: on {exam}." for exam in self.exams]
        notes += [
            f"{self.found[index].name} does not say which images it was scored on: that they are "
            "those of the other runs is taken from their name and number. Measure it again to know."
            for index in assumed([each.results for each in self.found])
        ]
        shapes = {"x".join(map(str, each.results["input_shape"][1:])) for each in self.found}
        if len(shapes) > 1:
            told = ", ".join(sorted(shapes))
            notes.append(f"The networks see pictures of different sizes: {told}.")
        if len(self.found) > 1:
            notes.append(
                "Runs were measured one after the other. The speed of a machine changes from hour "
                "to hour, so a small lead of one run over another means little; leads within a run "
                "have intervals, in its own report."
            )
        notes.append(
            "On the front: no other file of the same place and the same images is both faster and "
            "more accurate, whatever its model and format."
        )
        for each in self.found:
            for row in each.results["rows"]:
                if row["status"] == "failed":
                    name = f"{each.name}, {row['format']} on {row['device']}"
                    notes.append(f"{name}: failed ({row['reason']})")
        return notes

    def answers(self) -> list[str]:
        """Which model and which format, below the latency that was asked for."""
        if self.seconds is None:
            return []
        lines = []
        for (place, exam), group in self.groups.items():
            below = f"Under {1e3 * self.seconds:g} ms at batch {self.size} on {place}"
            best = within(group, self.seconds)
            if best is None:
                fastest = min(group, key=lambda each: each.cell["p50_s"])
                verdict = verdicts.cell(fastest.record).text
                lines.append(
                    f"{below}: nothing that keeps its accuracy budget; the fastest is "
                    f"{fastest.name}, {_figures(fastest)}, verdict {verdict}."
                )
            else:
                lines.append(f"{below}: {best.name}, {_figures(best)}, on {exam} ({best.run}).")
        return lines


def _figures(each: Candidate) -> str:
    return (
        f"p50 {1e3 * each.cell['p50_s']:.2f} ms, top-1 {100 * each.row['accuracy']['top1']:.2f} %, "
        f"{each.row['size_bytes'] / 1e6:.1f} MB"
    )


def _letter(kind: str, number: int) -> str:
    letters = ""
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{kind} {letters}"


def _column(
    head: str,
    only: object,
    attribute: str,
    figure: Callable[[Candidate], Cell],
    best: Any,
) -> Column[Row]:
    """Figures of the candidates of one place or one set of images; the others have none here."""

    def belongs(row: Row) -> bool:
        return bool(getattr(row["candidate"], attribute) == only)

    return Column(
        head,
        lambda row: figure(row["candidate"]) if belongs(row) else Cell(MISSING),
        best=best,
    )


def _top1(each: Candidate) -> Cell:
    value = each.row["accuracy"]["top1"]
    return Cell(f"{100 * value:.2f}", value=value)


def _p50(each: Candidate) -> Cell:
    value = each.cell["p50_s"]
    return Cell(f"{1e3 * value:.2f}", mark=cause_of(each.timing) or "", value=value)
