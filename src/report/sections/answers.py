"""Changes of the answers: figures of each row, damaged tensors, and images that flipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from src.report.document import MISSING, Cell, Column, Head, Section, Table, number, text_column
from src.report.sections.measurements import name_columns, rows_as_table
from src.report.sections.rows import Results, Row, measured, name_of

_NOTES = (
    "Lost and gained: images that only the baseline, or only this row, has right. McNemar p: "
    "exact, two-sided. ECE: expected calibration error, 15 bins.",
    "SQNR: the baseline's logits over their difference. KL: of the row's probabilities from "
    "the baseline's.",
)
_DAMAGE_HEADS = (Head("tensor", is_text=True), Head("kind", is_text=True), Head("SQNR dB"))


@dataclass(frozen=True)
class Flip:
    """A test image that a row answers otherwise than the baseline.

    Args:
        position: in the test set; its picture is ``flipped/<position>.png``.
        outcome: ``lost``, ``gained`` or ``still wrong``.
        true: name of its class.
        before: name of the class that the baseline answers.
        after: name of the class that the row answers.
    """

    position: int
    outcome: str
    true: str
    before: str
    after: str


@dataclass(frozen=True)
class Flips:
    """The images that a row answers otherwise than the baseline, the lost ones first.

    Args:
        format: of the row.
        device: of the row.
        lost: number of images that only the baseline has right.
        gained: number of images that only the row has right.
        images: number of test images.
        flips: all of them.
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
    """Return the table of what changed in the answers."""
    table = rows_as_table("What changed in the answers", columns(results), results)
    return Section("What got worse", table=table, notes=_NOTES)


def columns(results: Results) -> list[Column[Row]]:
    """Return the columns of what changed in the answers, from left to right."""

    def figure(
        head: str, key: str, scale: float, digits: int, *, sign: bool = False
    ) -> Column[Row]:
        def cell(row: Row) -> Cell:
            return Cell(number(row["accuracy"].get(key), scale, digits, sign=sign))

        return Column(head, cell)

    return [
        *name_columns(results),
        figure("top-5 %", "top5", 100, 2),
        figure("lost", "lost", 1, 0),
        figure("gained", "gained", 1, 0),
        figure("McNemar p", "mcnemar_p", 1, 3),
        figure("agreement %", "agreement", 100, 2),
        text_column("worst class, points", _worst_class),
        figure("ECE %", "ece", 100, 2),
        figure("delta ECE points", "delta_ece", 100, 2, sign=True),
        figure("largest logit difference", "max_abs_logit_diff", 1, 4),
        figure("its p99", "p99_abs_logit_diff", 1, 4),
        figure("logit SQNR dB", "logit_sqnr_db", 1, 1),
        figure("KL nats", "kl", 1, 6),
        figure("rounding error, ppm", "rounding_error", 1e6, 2),
        Column("images that would settle it", lambda row: Cell(_images_needed(row))),
    ]


def damage(results: Results) -> list[Section]:
    """Return the tensors that quantization damages the most, for each row that tells them."""
    sections = []
    for row in results["rows"]:
        if not row.get("damage"):
            continue
        tensors = [
            [tensor["tensor"], tensor["kind"], f"{tensor['sqnr_db']:.1f}"]
            for tensor in row["damage"]
        ]
        caption = f"Tensors that depart the most in {name_of(row)}"
        table = Table.of_text(caption, _DAMAGE_HEADS, tensors)
        sections.append(Section(f"Where {name_of(row)} loses the most", table=table))
    return sections


def flips(results: Results) -> list[Flips]:
    """Return the flipped images of each row that has any."""
    names = results["class_names"]
    return [
        Flips(
            row["format"],
            row["device"],
            row["accuracy"]["lost"],
            row["accuracy"]["gained"],
            row["accuracy"]["images"],
            [
                Flip(
                    flip["position"],
                    _OUTCOMES[_rank(flip)],
                    names[flip["true"]],
                    names[flip["before"]],
                    names[flip["after"]],
                )
                for flip in sorted(row["accuracy"]["flips"], key=_rank)
            ],
        )
        for row in measured(results)
        if (row["accuracy"] or {}).get("flips")
    ]


_OUTCOMES = ("lost", "gained", "still wrong")


def _rank(flip: dict[str, Any]) -> int:
    """Return 0 for an image that was lost, 1 for one that was gained, else 2."""
    if flip["before"] == flip["true"]:
        return 0
    return 1 if flip["after"] == flip["true"] else 2


def _worst_class(row: Row) -> str:
    worst = row["accuracy"].get("worst_class")
    if not worst or worst["delta"] >= 0:
        return MISSING
    return f"{worst['name']} {number(worst['delta'], 100, 1, sign=True)}"


def _images_needed(row: Row) -> str:
    if row["verdict"] != "inconclusive":
        return MISSING
    needed = row["accuracy"]["images_needed"]
    return f"{needed:,}" if needed else "none would"
