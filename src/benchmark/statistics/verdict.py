"""What the scored images say of a row's accuracy, and which verdicts keep the budget.

- ``same``: the file answers as the baseline does on every scored image, within rounding. It is the
  same network by what was checked, whatever the number of images.
- ``pass``, ``fail``, ``inconclusive``: by a test of the accuracy, see
  :mod:`src.benchmark.statistics.paired`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Verdict = Literal["same", "pass", "fail", "inconclusive"]

_KEEPING: tuple[Verdict, ...] = ("same", "pass")
TESTED: tuple[Verdict, ...] = ("pass", "fail", "inconclusive")  # at an error rate of 5 % each


def with_verdict(accuracy: dict[str, Any], *, may_be_same: bool) -> Verdict | None:
    """The verdict on what :class:`src.benchmark.statistics.scorecard.Scorecard` gave.

    An fp32 file whose logits differ by more than rounding explains is not failed for that: a
    network may amplify rounding. Its accuracy is tested like that of any other row.

    Args:
        accuracy: loses its ``verdict``, and its ``images_needed`` where no test counts.
        may_be_same: it is an fp32 file beside the baseline on the same kind of device.

    Returns:
        None without a baseline for every image.
    """
    tested: Verdict | None = accuracy.pop("verdict", None)
    if tested and may_be_same and not accuracy["beyond_rounding"] and accuracy["agreement"] == 1:
        accuracy["images_needed"] = None
        return "same"
    return tested


def keeps_budget(row: Mapping[str, Any], baseline: str) -> bool:
    """Whether a row of ``benchmark.json`` keeps the accuracy budget; the baseline always does."""
    return row["format"] == baseline or row["verdict"] in _KEEPING
