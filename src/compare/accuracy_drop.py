"""Drops of the accuracy of a file from one measurement to the next."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import NamedTuple

from src.benchmark.statistics.shares import wilson
from src.compare import embedded
from src.compare.comparability import assumed_same, test_sets_of
from src.compare.finding import Finding, Outcome
from src.errors import UsageError
from src.run.results import Results


class Top1(NamedTuple):
    """The accuracy of a file: a share of 1, and the number of images."""

    share: float
    images: int

    @property
    def exact(self) -> Fraction:
        """The share as the number of right images over that of all images."""
        return Fraction(round(self.share * self.images), self.images)


def check_accuracy(old: Results, new: Results, allowed: float) -> list[Finding]:
    """Return the results of the checks of each file that both measurements have.

    Args:
        old: a measurement.
        new: a later measurement.
        allowed: drop of top-1, a share of 1.

    Raises:
        UsageError: they are on two test sets.
    """
    test_sets = test_sets_of([old, new])
    if test_sets[0] != test_sets[1]:
        raise UsageError(
            "--max-drop",
            expected="two measurements on the same images",
            found=f"OLD on {test_sets[0]}; NEW on {test_sets[1]}",
            remedy="score both on one split of one data set, or leave it out",
        )
    remark = "; that the images are the same is taken from their name and number"
    findings = []
    before, after = _top1(old), _top1(new)
    for key in [key for key in after if key in before]:
        finding = _check_drop(key, before[key], after[key], allowed)
        if assumed_same([old, new]):
            finding = dataclasses.replace(finding, text=finding.text + remark)
        findings.append(finding)
    return findings


def _top1(results: Results) -> dict[tuple[str, str], Top1]:
    """Return the accuracy of each file, by format, or folder of an embedded file, and device."""
    rows = {
        row.key: Top1(row.accuracy.top1, row.accuracy.images)
        for row in results.rows
        if row.accuracy
    }
    return rows | {
        file.key: Top1(file.answers.top1, file.answers.images) for file in embedded.files(results)
    }


def _check_drop(key: tuple[str, str], old: Top1, new: Top1, allowed: float) -> Finding:
    """Check a drop by Newcombe's hybrid score interval (1998, method 10) for independent shares.

    The images are the same, but it is not stored which of them were right, so a paired interval is
    not possible. This interval is wider if the two are right on mostly the same images.
    """
    images = new.images
    before, after = old.share, new.share
    # The shares are exact: the difference of two rounded ones may exceed a limit that it equals.
    drop = float(old.exact - new.exact)
    (low_before, high_before), (low_after, high_after) = (
        wilson(share, images) for share in (before, after)
    )
    low = drop - math.hypot(before - low_before, high_after - after)
    high = drop + math.hypot(high_before - before, after - low_after)
    text = (
        f"{100 * before:.2f} % to {100 * after:.2f} %, a drop of {100 * drop:.2f} points "
        f"[{100 * low:+.2f}, {100 * high:+.2f}]"
    )
    if low > allowed:
        outcome: Outcome = "regressed"
    elif drop > allowed:
        outcome = "inconclusive"
        text += f"; {images} images are too few to tell"
    else:
        outcome = "ok"
    return Finding(outcome, *key, "top-1", text)
