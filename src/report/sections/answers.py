"""Changes of the predictions: figures of each row, tensors with large errors, flipped images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from src.report.document import MISSING, Cell, Column, Head, Section, Table, number
from src.report.sections.measurements import name_columns, rows_as_table
from src.report.sections.rows import accuracy_of, measured, name_of, paired_of
from src.run import accuracy as records
from src.run.accuracy import Accuracy, PairedAccuracy
from src.run.paths import thumbnail_name
from src.run.results import Results
from src.run.row import Row

_NOTES = (
    "Lost and gained: images that only the baseline, or only this row, has right. McNemar p: "
    "exact, two-sided. ECE: expected calibration error, 15 bins.",
    "SQNR: the baseline's logits over their difference. KL: of the row's probabilities from "
    "the baseline's.",
)
_TOP = 5
_ERROR_HEADS = (Head("tensor", is_text=True), Head("kind", is_text=True), Head("SQNR dB"))


@dataclass(frozen=True)
class Flip:
    """A test image that a row classifies differently from the baseline.

    Args:
        position: in the test set.
        image: name of its file in ``flipped``, if it has one; None if the test set is unknown.
        outcome: ``lost``, ``gained`` or ``still wrong``.
        true: name of its class.
        before: name of the class that the baseline predicts.
        after: name of the class that the row predicts.
    """

    position: int
    image: str | None
    outcome: str
    true: str
    before: str
    after: str


@dataclass(frozen=True)
class Flips:
    """The images that a row classifies differently from the baseline, the lost ones first.

    Args:
        format: of the row.
        device: of the row.
        lost: number of images that only the baseline has right.
        gained: number of images that only the row has right.
        images: number of test images.
        flips: all of these images.
    """

    format: str
    device: str
    lost: int
    gained: int
    images: int
    flips: Sequence[Flip]

    @property
    def name(self) -> str:
        return f"{self.format} on {self.device}"


def section(results: Results) -> Section:
    """Return the table of the changed predictions."""
    table = rows_as_table("What changed in the answers", columns(results), results)
    return Section("What got worse", table=table, notes=_NOTES)


def columns(results: Results) -> list[Column[Row]]:
    """Return the columns of the changed predictions, from left to right."""
    return [
        *name_columns(results),
        *_top5(results),
        _paired("lost", lambda paired: paired.lost, 1, 0),
        _paired("gained", lambda paired: paired.gained, 1, 0),
        _paired("McNemar p", lambda paired: paired.mcnemar_p, 1, 3),
        _paired("agreement %", lambda paired: paired.agreement, 100, 2),
        Column("worst class, points", _worst_class, is_text=True),
        _accuracy("ECE %", lambda accuracy: accuracy.ece, 100, 2),
        _paired("delta ECE points", lambda paired: paired.delta_ece, 100, 2, sign=True),
        _paired("largest logit difference", lambda paired: paired.max_abs_logit_diff, 1, 4),
        _paired("its p99", lambda paired: paired.p99_abs_logit_diff, 1, 4),
        _paired("logit SQNR dB", lambda paired: paired.logit_sqnr_db, 1, 1),
        _paired("KL nats", lambda paired: paired.kl, 1, 6),
        _paired("rounding error, ppm", lambda paired: paired.rounding_error, 1e6, 2),
        Column("images that would settle it", _images_needed),
    ]


def _top5(results: Results) -> list[Column[Row]]:
    """Return the column of top-5; none for five classes or fewer, where it is 100 % of all."""
    if results.num_classes <= _TOP:
        return []
    return [_accuracy("top-5 %", lambda accuracy: accuracy.top5, 100, 2)]


def quantization_errors(results: Results) -> list[Section]:
    """Return the tensors with the largest quantization errors, for each row that has them."""
    sections = []
    for row in results.rows:
        if not row.damage:
            continue
        tensors = [[tensor.tensor, tensor.kind, f"{tensor.sqnr_db:.1f}"] for tensor in row.damage]
        caption = f"Tensors that depart the most in {name_of(row)}"
        table = Table.of_text(caption, _ERROR_HEADS, tensors)
        sections.append(Section(f"Where {name_of(row)} loses the most", table=table))
    return sections


def flips(results: Results) -> list[Flips]:
    """Return the flipped images of each row that has some."""
    names, test_set = results.class_names, results.dataset.sha256
    return [
        Flips(
            row.format,
            row.device,
            paired.lost,
            paired.gained,
            accuracy_of(row).images,
            [
                Flip(
                    flip.position,
                    thumbnail_name(flip.position, test_set) if test_set else None,
                    _OUTCOMES[_rank(flip)],
                    names[flip.true],
                    names[flip.before],
                    names[flip.after],
                )
                for flip in sorted(paired.flips, key=_rank)
            ],
        )
        for row in measured(results)
        if (paired := paired_of(row)) is not None and paired.flips
    ]


_OUTCOMES = ("lost", "gained", "still wrong")


def _rank(flip: records.Flip) -> int:
    """Return the index of the flip's outcome in ``_OUTCOMES``."""
    if flip.before == flip.true:
        return 0
    return 1 if flip.after == flip.true else 2


def _accuracy(
    head: str, figure: Callable[[Accuracy], float], scale: float, digits: int
) -> Column[Row]:
    def cell(row: Row) -> Cell:
        share = figure(accuracy_of(row))
        return Cell(number(share, scale, digits), value=share)

    return Column(head, cell)


def _paired(
    head: str,
    figure: Callable[[PairedAccuracy], float | None],
    scale: float,
    digits: int,
    *,
    sign: bool = False,
) -> Column[Row]:
    def cell(row: Row) -> Cell:
        paired = paired_of(row)
        value = figure(paired) if paired else None
        return Cell(number(value, scale, digits, sign=sign), value=value)

    return Column(head, cell)


def _worst_class(row: Row) -> Cell:
    paired = paired_of(row)
    worst = paired.worst_class if paired else None
    if worst is None or worst.delta >= 0:
        return Cell(MISSING)
    return Cell(f"{worst.name} {number(worst.delta, 100, 1, sign=True)}", value=worst.delta)


def _images_needed(row: Row) -> Cell:
    paired = paired_of(row)
    if row.verdict != "inconclusive" or paired is None:
        return Cell(MISSING)
    if not paired.images_needed:
        return Cell("none would", value=math.inf, is_number=False)
    return Cell(f"{paired.images_needed:,}", value=paired.images_needed)
