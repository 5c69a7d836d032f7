"""Verdicts on a row's accuracy, and those that keep the accuracy budget.

- ``same``: the file answers as the baseline does on every scored image, within rounding. It is the
  same network by what was checked, whatever the number of images.
- ``pass``, ``fail``, ``inconclusive``: by a test of the accuracy, see
  :mod:`src.benchmark.statistics.paired`.
"""

from __future__ import annotations

import msgspec

from src.benchmark.statistics.scorecard import Score
from src.run.accuracy import Verdict
from src.run.row import RowFigures

_KEEPING: tuple[Verdict, ...] = ("same", "pass")
TESTED: tuple[Verdict, ...] = ("pass", "fail", "inconclusive")  # at an error rate of 5 % each


def with_same(score: Score, *, may_be_same: bool) -> Score:
    """Return a score with the verdict ``same`` in the place of a test's, where that is due.

    An fp32 file whose logits differ by more than rounding explains is not failed for that: a
    network may amplify rounding. Its accuracy is tested like that of any other row.

    Args:
        score: loses its ``images_needed`` where no test counts.
        may_be_same: it is an fp32 file beside the baseline on the same kind of device.
    """
    paired = score.accuracy.paired
    if paired is None or not may_be_same or paired.beyond_rounding or paired.agreement != 1:
        return score
    settled = msgspec.structs.replace(paired, images_needed=None)
    return Score(msgspec.structs.replace(score.accuracy, paired=settled), "same")


def keeps_budget(row: RowFigures, baseline: str) -> bool:
    """Return True if a row keeps the accuracy budget; the baseline always does."""
    return row.format == baseline or row.verdict in _KEEPING
