"""Verdicts on a row's accuracy, and the verdicts that keep the accuracy budget.

- ``same``: on every scored image, the logits equal the baseline's within rounding. The file is the
  same network as far as this was checked, however many images there are.
- ``pass``, ``fail``, ``inconclusive``: result of a test of the accuracy, see
  :mod:`src.benchmark.statistics.paired`.
"""

from __future__ import annotations

import msgspec

from src.benchmark.statistics.scorecard import Score
from src.run.accuracy import Verdict
from src.run.row import RowFigures
from src.system.cpuid_mask import InstructionSet

_WITHIN_BUDGET: tuple[Verdict, ...] = ("same", "pass")
TESTED: tuple[Verdict, ...] = ("pass", "fail", "inconclusive")  # at an error rate of 5 % each


def with_same(score: Score, *, may_be_same: bool) -> Score:
    """Return the score with the verdict ``same`` if the file is the same network; else unchanged.

    An fp32 file whose logits differ by more than rounding does not fail: a network may amplify
    rounding. Its accuracy is tested like that of any other row.

    Args:
        score: the row's score; its ``images_needed`` is removed if the verdict becomes ``same``.
        may_be_same: the row is an fp32 file, and the baseline ran on the same kind of device.
    """
    paired = score.accuracy.paired
    if paired is None or not may_be_same or paired.beyond_rounding or paired.agreement != 1:
        return score
    settled = msgspec.structs.replace(paired, images_needed=None)
    return Score(msgspec.structs.replace(score.accuracy, paired=settled), "same")


def keeps_budget(row: RowFigures, baseline: str | None) -> bool:
    """Return True if a row keeps the accuracy budget; the baseline, if any, always does.

    Where its answers were also computed as on older processors, it must keep the budget there too.
    """
    return row.format == baseline or (keeps_budget_here(row) and not fails_on(row))


def keeps_budget_here(row: RowFigures) -> bool:
    """Return True if a row keeps the accuracy budget on this processor."""
    return row.verdict in _WITHIN_BUDGET


def fails_on(row: RowFigures) -> list[InstructionSet]:
    """Return the older instruction sets on which a row is not shown to keep the budget."""
    return [
        answers.instruction_set for answers in row.instruction_sets if answers.keeps_budget is False
    ]
